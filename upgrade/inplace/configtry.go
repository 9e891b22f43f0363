package inplace

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"sync"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

const (
	// One argument of a program may have 128 KB (execve(2), MAX_ARG_STRLEN),
	// all together 2 MB by default; longer values are not asked about.
	maxTriedValue = 64 << 10
	maxTriedCall  = 512 << 10
)

// tried remembers what the programs said in the life of this process: while
// nobody is served, nothing is asked again that did not change.
var tried = struct {
	sync.Mutex
	said  map[triedKey]upgrade.ConfVerdict
	whole map[[sha256.Size]byte]bool // questions about several settings whose answer is the expected one
}{said: map[triedKey]upgrade.ConfVerdict{}, whole: map[[sha256.Size]byte]bool{}}

// settled reports whether a question was answered before: that a whole
// configuration is taken, or that a setting is refused in that company too.
func settled(key [sha256.Size]byte) bool {
	tried.Lock()
	defer tried.Unlock()
	return tried.whole[key]
}

func settle(key [sha256.Size]byte) {
	tried.Lock()
	defer tried.Unlock()
	if len(tried.whole) > maxTries {
		clear(tried.whole)
	}
	tried.whole[key] = true
}

// triedKey is one setting for one program; a program that was replaced is another.
type triedKey struct {
	program string
	setting upgrade.ConfSetting
}

// trySettings has the new major's program look at settings: all at once, and
// where that is refused in halves, until each culprit stands alone.
func (s *Site) trySettings(
	ctx context.Context, scratch *configScratch, all []upgrade.ConfSetting,
) (map[upgrade.ConfSetting]upgrade.ConfVerdict, error) {
	t := settingsTrial{s: s, scratch: scratch, program: programStamp(s.New.Path("postgres")), res: map[upgrade.ConfSetting]upgrade.ConfVerdict{}}
	var open []upgrade.ConfSetting
	for _, one := range all {
		if len(one.Value) > maxTriedValue {
			continue
		}
		if v, ok := t.remembered(one); ok {
			t.res[one] = v
			continue
		}
		open = append(open, one)
	}
	for _, part := range bySize(open) {
		if err := t.halve(ctx, part); err != nil {
			return nil, err
		}
	}
	return t.res, t.together(ctx, all)
}

// settingsTrial is trySettings under way.
type settingsTrial struct {
	s       *Site
	scratch *configScratch
	program string
	res     map[upgrade.ConfSetting]upgrade.ConfVerdict
}

func (t *settingsTrial) halve(ctx context.Context, part []upgrade.ConfSetting) error {
	if len(part) == 0 {
		return nil
	}
	v, err := t.ask(ctx, part)
	if err != nil {
		return err
	}
	if v.Answer == pg.Taken || len(part) == 1 {
		for _, one := range part {
			t.res[one] = asVerdict(v)
			t.remember(one)
		}
		return nil
	}
	if err := t.halve(ctx, part[:len(part)/2]); err != nil {
		return err
	}
	return t.halve(ctx, part[len(part)/2:])
}

// together gives what was refused alone another chance beside all that was
// accepted: a value may need others to be right. A refusal is remembered with
// the company in which it was met.
func (t *settingsTrial) together(ctx context.Context, all []upgrade.ConfSetting) error {
	var good, bad []upgrade.ConfSetting
	for _, one := range all {
		switch t.res[one].Kind {
		case upgrade.ConfAccepted:
			if len(one.Value) <= maxTriedValue {
				good = append(good, one)
			}
		case upgrade.ConfBadValue, upgrade.ConfDoubtful:
			bad = append(bad, one)
		}
	}
	if len(bad) == 0 || len(bySize(good)) != 1 {
		return nil
	}
	for _, one := range bad {
		key := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", t.program, good, one))
		if settled(key) {
			continue
		}
		v, err := t.ask(ctx, append(good[:len(good):len(good)], one))
		if err != nil {
			return err
		}
		if v.Answer == pg.Taken {
			t.res[one] = upgrade.ConfVerdict{}
			continue
		}
		settle(key)
	}
	return nil
}

func (t *settingsTrial) ask(ctx context.Context, part []upgrade.ConfSetting) (pg.Verdict, error) {
	dir, err := t.scratch.empty()
	if err != nil {
		return pg.Verdict{}, err
	}
	list := make([]pg.Setting, len(part))
	for i, one := range part {
		list[i] = pg.Setting(one)
	}
	return pg.TrySettings(ctx, t.s.New, dir, &t.s.User, t.s.Environ, list...)
}

func (t *settingsTrial) remembered(one upgrade.ConfSetting) (upgrade.ConfVerdict, bool) {
	tried.Lock()
	defer tried.Unlock()
	v, ok := tried.said[triedKey{t.program, one}]
	return v, ok
}

func (t *settingsTrial) remember(one upgrade.ConfSetting) {
	tried.Lock()
	defer tried.Unlock()
	if len(tried.said) > 4*maxTries {
		clear(tried.said)
	}
	tried.said[triedKey{t.program, one}] = t.res[one]
}

// programStamp tells a program from one that replaced it.
func programStamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return path
	}
	return fmt.Sprint(path, " ", info.Size(), " ", info.ModTime().UnixNano())
}

// bySize cuts a list so that each part fits on a command line.
func bySize(all []upgrade.ConfSetting) [][]upgrade.ConfSetting {
	var res [][]upgrade.ConfSetting
	start, size := 0, 0
	for i, one := range all {
		n := len(one.Name) + len(one.Value) + 16
		if size+n > maxTriedCall {
			res = append(res, all[start:i])
			start, size = i, 0
		}
		size += n
	}
	if start < len(all) {
		res = append(res, all[start:])
	}
	return res
}
