package upgrade

import (
	"fmt"

	"github.com/pgbaton/pgbaton/internal/node"
)

func judgeTablespaces(f Facts) []node.Finding {
	var res []node.Finding
	for _, t := range f.Tablespaces {
		move := "make a tablespace elsewhere and move its objects there (ALTER … SET TABLESPACE), then drop this one"
		switch {
		case t.InPlace:
			res = append(res, refuse("tablespace-in-place", move,
				"the tablespace %s is a directory inside the data directory (allow_in_place_tablespaces), which pg_upgrade does not support", ident(t.Name)))
		case t.Inside:
			res = append(res, refuse("tablespace-inside", move,
				"the tablespace %s lies inside the data directory, at %s, and would move away with the old cluster", ident(t.Name), t.Location))
		case t.Trouble != "":
			bad := refuse("tablespace-missing", "bring its directory back (is a volume not mounted?), or drop the tablespace",
				"the tablespace %s at %s cannot be used", ident(t.Name), t.Location)
			bad.Detail = t.Trouble
			res = append(res, bad)
		}
		if len(t.Leftover) > 0 {
			res = append(res, refuse("tablespace-leftover",
				"they belong to an earlier attempt or to another cluster of that major: look, and move them away if nobody uses them",
				"directories of PostgreSQL %d are in the way in the tablespace %s: %s", f.To, ident(t.Name), list(t.Leftover)))
		}
	}
	return res
}

func judgeMode(f Facts) []node.Finding {
	if _, finding := ChooseMode(f.Asked, f); finding != nil {
		return []node.Finding{*finding}
	}
	return nil
}

// ChooseMode says how files are taken over: as asked, or, for auto, cloned
// where the file system can and linked elsewhere. The finding refuses what
// cannot be done, or notes what was chosen.
func ChooseMode(asked node.UpgradeMode, f Facts) (node.UpgradeMode, *node.Finding) {
	because := func(mode node.UpgradeMode, why, instead string) (node.UpgradeMode, *node.Finding) {
		bad := refuse("mode-impossible", "ask for "+instead, "mode %s is impossible: %s", mode, why)
		return mode, &bad
	}
	switch asked {
	case node.ModeCopy:
	case node.ModeClone:
		if f.CloneTrouble != "" {
			return because(asked, f.CloneTrouble, "mode link or copy")
		}
	case node.ModeLink:
		if f.LinkTrouble != "" {
			return because(asked, f.LinkTrouble, "mode copy")
		}
	case "", node.ModeAuto:
		switch {
		case f.CloneTrouble == "":
			return node.ModeClone, nil
		case f.LinkTrouble == "":
			return node.ModeLink, nil
		}
		return because(node.ModeAuto, "files can be neither cloned ("+f.CloneTrouble+") nor linked ("+f.LinkTrouble+")", "mode copy")
	default:
		return because(asked, "it is not known here", "auto, clone, link or copy")
	}
	return asked, nil
}

// ChooseTarget says which major to upgrade to: the one asked for, or for 0 the
// newest available.
func ChooseTarget(have int, available []int, asked int) (int, *node.Finding) {
	newest := 0
	there := false
	for _, major := range available {
		newest = max(newest, major)
		there = there || major == asked
	}
	var bad node.Finding
	switch {
	case asked == 0 && newest > have:
		return newest, nil
	case asked == 0:
		bad = refuse("nothing-newer", "install the programs of a newer major, or start a newer image",
			"PostgreSQL %d serves, and no newer major's programs are here", have)
	case asked == have:
		bad = refuse("same-major", "ask for a newer major", "PostgreSQL %d serves already; a new minor version needs a restart only", have)
	case asked < have:
		bad = refuse("lower-major", "restore a backup of that major instead", "PostgreSQL %d serves, and there is no way down to %d", have, asked)
	case !there:
		bad = refuse("unknown-major", "install the whole server package of that major, or start an image that has it",
			"the programs of PostgreSQL %d are not here; here are: %s", asked, majors(available))
	default:
		return asked, nil
	}
	return asked, &bad
}

func majors(available []int) string {
	var names []string
	for _, m := range available {
		names = append(names, fmt.Sprint(m))
	}
	if len(names) == 0 {
		return "none"
	}
	return list(names)
}
