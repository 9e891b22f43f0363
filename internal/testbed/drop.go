package testbed

import (
	"os"
	"path"
	"path/filepath"
)

// Dropper is a way in which users put a file onto a container's volume.
type Dropper string

// The ways. All of them put it there owned by somebody else than postgres.
const (
	ByExec    Dropper = "docker exec"       // touch, or a shell's redirection
	ByMove    Dropper = "mv"                // written under another name first: whole at once
	ByCopy    Dropper = "docker cp"         // with the owner and times of the host's file
	ByAnother Dropper = "another container" // one that shares the volumes
)

// Droppers lists the ways.
func Droppers() []Dropper { return []Dropper{ByExec, ByMove, ByCopy, ByAnother} }

// Drop puts a file onto a volume of the running container the way a user
// would. The directory must exist.
func (c *Container) Drop(by Dropper, file, data string) {
	c.tb.Helper()
	const write = `if [ -n "$2" ]; then printf %s "$2" >"$1"; else touch "$1"; fi`
	switch by {
	case ByExec:
		c.MustExec("sh", "-c", write, "sh", file, data)
	case ByMove:
		tmp := path.Join(path.Dir(file), ".drop."+path.Base(file))
		c.MustExec("sh", "-c", write+` && mv "$1" "$3"`, "sh", tmp, data, file)
	case ByCopy:
		dir, err := os.MkdirTemp("", "pgbaton-drop-")
		c.must(err, "make a directory for a file to copy into")
		defer func() { _ = os.RemoveAll(dir) }()
		from := filepath.Join(dir, path.Base(file))
		c.must(os.WriteFile(from, []byte(data), 0o644), "write a file to copy into")
		c.command("cp", from, c.ID+":"+file)
	case ByAnother:
		c.command("run", "--rm", "--name", newName(c.tb.Name()), "--label", Label+"="+runID, "--volumes-from", c.ID,
			"--network", "none", "--user", "0", "--entrypoint", "sh", c.Spec.Image, "-c", write, "sh", file, data)
	default:
		c.tb.Fatalf("testbed: no way %q to drop a file", by)
	}
}

// command runs the docker command line.
func (c *Container) command(args ...string) {
	c.tb.Helper()
	ctx, cancel := c.context(0)
	defer cancel()
	_, err := Docker(ctx, args...)
	c.must(err, "docker "+args[0]+" for")
}
