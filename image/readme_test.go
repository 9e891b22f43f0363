package image_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec" //nolint:depguard // runs what README.md tells people to type
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// Each block of commands in README.md runs as it is printed, on a terminal, and
// says what is shown there. A new block needs its line here.

// block is a fenced block of README.md.
type block struct {
	kind  string // console, sh, yaml
	lines []string
}

func blocksOf(t *testing.T, path string) []block {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []block
	for _, m := range regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, block{m[1], strings.Split(strings.TrimSuffix(m[2], "\n"), "\n")})
	}
	return blocks
}

func TestEveryCommandOfTheREADMERunsAsPrintedAndSaysWhatIsShown(t *testing.T) {
	t.Parallel()
	wants := []struct {
		name, holds string // a part of the block
		run         func(*testing.T, block)
	}{
		{"make", "make demo", makeTargets},
		{"one node", "docker run -d --name db ", plainBlock},
		{"a cluster", "docker-compose -f compose-cluster.yaml up -d", clusterBlock},
		{"an upgrade", "upgrade status --watch", plainBlock},
		{"in place of the official image", "POSTGRES_PASSWORD_FILE: /run/secrets/db", composeBlock},
		{"the binary alone", "--entrypoint /pgbaton", officialBlock},
	}
	blocks := blocksOf(t, "../README.md")
	if len(blocks) != len(wants) {
		t.Fatalf("README.md has %d blocks and this test knows %d", len(blocks), len(wants))
	}
	for i, want := range wants {
		if !strings.Contains(strings.Join(blocks[i].lines, "\n"), want.holds) {
			t.Errorf("block %d of README.md does not hold %q", i+1, want.holds)
			continue
		}
		t.Run(want.name, func(t *testing.T) {
			t.Parallel()
			want.run(t, blocks[i])
		})
	}
}

// step is a command and what README shows of its output.
type step struct {
	command string
	shown   []string
	rc      string
	output  string
}

// steps of a console block: lines that begin with a prompt are typed.
func (b block) steps() (steps []step) {
	for _, line := range b.lines {
		if command, typed := strings.CutPrefix(line, "$ "); typed {
			steps = append(steps, step{command: command})
		} else if len(steps) > 0 {
			last := &steps[len(steps)-1]
			last.shown = append(last.shown, line)
		}
	}
	return steps
}

// person is somebody at a terminal in a fresh clone, on an engine on which
// nobody else uses the names of README.md.
type person struct {
	t    *testing.T
	dir  string   // the clone
	env  []string // of the shell
	wait string   // a shell function that waits as people do, until what was begun is there
}

func newPerson(t *testing.T) *person {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"bin", "shims", "image"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &person{t: t, dir: dir, env: append(os.Environ(), "PATH="+dir+"/shims:"+os.Getenv("PATH"), "TERM=xterm", "COLUMNS=80")}
}

func (p *person) program(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, "shims", name), []byte("#!/bin/bash\n"+text), 0o755); err != nil {
		p.t.Fatal(err)
	}
}

// names lets docker know a container and a volume of README.md by other names.
func (p *person) names(name string) {
	p.t.Helper()
	docker, err := exec.LookPath("docker")
	if err != nil {
		p.t.Fatal(err)
	}
	v := testbed.NewVolume(p.t) // first, since it is removed after what uses it
	flags := testbed.UserRun(p.t, ours(17))[1:]
	flags = flags[:len(flags)-1]
	p.program("docker", fmt.Sprintf(`
args=() run=$1
while [[ $# -gt 0 ]]; do
	case $1 in
	--name) shift; args+=(%[3]s) ;;
	%[1]s) args+=(%[2]q) ;;
	%[1]s:*) args+=(%[4]q":${1#*:}") ;;
	*) args+=("$1") ;;
	esac
	shift
done
exec %[5]s "${args[@]}"
`, name, flags[1], strings.Join(flags, " "), v.Name, docker))
	p.wait = `settle() { case "$1" in
	"docker run "*|*" pgbaton start") until docker exec ` + name + ` pgbaton status | grep -q '^clients '; do sleep 0.1; done ;;
	esac; }`
}

const mark = "@@@"

// types types the commands into one shell and notes what each said.
func (p *person) types(steps []step) {
	p.t.Helper()
	var script strings.Builder
	script.WriteString(p.wait + "\ncd " + p.dir + "\n")
	for _, s := range steps {
		fmt.Fprintf(&script, "%s\necho \"%s$?\"\nsettle %q\n", s.command, mark, s.command)
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script.String())
	cmd.Env = p.env
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: 80})
	if err != nil {
		p.t.Fatal(err)
	}
	defer tty.Close()
	var out bytes.Buffer
	_, _ = io.Copy(&out, tty) // ends with EIO once the other end is closed
	err = cmd.Wait()
	text := regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`).ReplaceAllString(strings.ReplaceAll(out.String(), "\r", ""), "")
	parts := strings.Split(text, mark)
	if len(parts) != len(steps)+1 {
		p.t.Fatalf("%d of %d commands ended, %v:\n%s", len(parts)-1, len(steps), errors.Join(err, ctx.Err()), text)
	}
	for i := range steps {
		steps[i].output = parts[i]
		steps[i].rc, parts[i+1], _ = strings.Cut(parts[i+1], "\n")
	}
}

// holds fails unless each command succeeded and said the lines that are shown,
// in their order; numbers, times and ids may differ, and … stands for whatever
// is left out.
func holds(t *testing.T, steps []step) {
	t.Helper()
	for _, s := range steps {
		if s.rc != "0" {
			t.Errorf("$ %s\nended with %s:\n%s", s.command, s.rc, s.output)
			continue
		}
		said := shapes(strings.Split(s.output, "\n"))
		for _, line := range s.shown {
			if line == "…" {
				continue
			}
			line, open := strings.CutSuffix(line, "…")
			want, found := shape(line), false
			for len(said) > 0 && !found {
				found = said[0] == want || open && strings.HasPrefix(said[0], want)
				said = said[1:]
			}
			if !found {
				t.Errorf("$ %s\ndoes not say, or not in this order:\n%s\n(%s), but:\n%s", s.command, line, want, s.output)
				break
			}
		}
	}
}

var (
	hexes   = regexp.MustCompile(`\b[0-9a-f]{12}\b|pgbaton [^,\s]+|\([^()]*\d[^()]*\)`)
	numbers = regexp.MustCompile(`[0-9][0-9.:/A-FTZ-]*( ?(ms|kB|MB|[smhB])\b)?( [0-9]+(ms|[smh])\b)*`)
)

// shape is a line without what differs from run to run.
func shape(line string) string {
	line = hexes.ReplaceAllString(line, "ID")
	return strings.Join(strings.Fields(numbers.ReplaceAllString(line, "0")), " ")
}

func shapes(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = shape(line)
	}
	return out
}

func makeTargets(t *testing.T, b block) {
	for _, line := range b.lines {
		command, _, _ := strings.Cut(line, "#")
		args := strings.Fields(command)
		cmd := exec.CommandContext(t.Context(), args[0], append([]string{"-n", "-C", ".."}, args[1:]...)...)
		if out, err := cmd.CombinedOutput(); err != nil { // CI itself runs make test; the demo is long
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
}

func plainBlock(t *testing.T, b block) {
	p := newPerson(t)
	p.names(regexp.MustCompile(`--name (\w+)`).FindStringSubmatch(strings.Join(b.lines, "\n"))[1])
	steps := b.steps()
	p.types(steps)
	holds(t, steps)
}

func clusterBlock(t *testing.T, b block) {
	p := newPerson(t)
	text, err := os.ReadFile("compose-cluster.yaml")
	if err == nil {
		err = os.WriteFile(p.dir+"/image/compose-cluster.yaml", text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.compose(p.dir+"/image", "compose-cluster.yaml", "db1", "db2")
	// Until the cluster is whole.
	p.wait = `settle() { case "$1" in *" up -d"*|*" start "*)
		until s=$(docker-compose -f compose-cluster.yaml exec -T db1 pgbaton status 2>/dev/null); [[ $s == verdict*well:* && $s =~ db2\ +heir.*\ may\  ]]; do sleep 0.2; done ;;
	*" kill db2"*)
		until docker-compose -f compose-cluster.yaml exec -T db1 pgbaton status 2>/dev/null | grep -q '^db1  *primary'; do sleep 0.2; done ;;
	esac; }`
	steps := b.steps()
	p.types(steps)
	holds(t, steps)
}

// compose lets docker-compose work for a project of this test's own, whose
// containers have the label and the binary of every test.
func (p *person) compose(dir, file string, services ...string) {
	p.t.Helper()
	override := "services:\n"
	flags := testbed.UserRun(p.t, ours(17))
	project := flags[2] // a name that nobody else has
	for _, service := range services {
		override += "  " + service + ":\n"
		for i, flag := range flags {
			switch flag {
			case "--label":
				override += "    labels: [\"" + flags[i+1] + "\"]\n"
			case "-v":
				override += "    volumes: [\"" + flags[i+1] + "\"]\n"
			}
		}
	}
	if err := os.WriteFile(p.dir+"/override.yaml", []byte(override), 0o644); err != nil {
		p.t.Fatal(err)
	}
	command := "docker compose"
	if path, err := exec.LookPath("docker-compose"); err == nil {
		command = path
	}
	p.program("docker-compose", fmt.Sprintf(`
file=%[4]s
[[ $1 == -f ]] && { file=$2; shift 2; }
exec %[1]s -p %[2]s -f "$file" -f %[3]s/override.yaml "$@"
`, command, project, p.dir, file))
	p.t.Cleanup(func() {
		cmd := exec.Command("docker-compose", "-f", file, "down", "-v", "-t", "1")
		cmd.Path, cmd.Err = p.dir+"/shims/docker-compose", nil
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			p.t.Logf("docker-compose down: %v\n%s", err, out)
		}
	})
}

// The file as it is printed, with the one secret that its comment makes.
func composeBlock(t *testing.T, b block) {
	p := newPerson(t)
	text := strings.Join(b.lines, "\n") + "\n"
	secret := regexp.MustCompile(`file: \./(\S+) *# (.*)`).FindStringSubmatch(text)
	if secret == nil {
		t.Fatal("the file of the secret has no comment that makes it")
	}
	// The host of a test may have a server of its own.
	text = strings.Replace(text, `"5432:5432"`, `"127.0.0.1::5432"`, 1)
	if err := os.WriteFile(p.dir+"/compose.yaml", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p.compose(p.dir, "compose.yaml", "db")
	p.wait = `settle() { :; }`
	steps := []step{
		{command: secret[2]},
		{command: "docker-compose up -d"},
		{command: `until [ "$(docker inspect -f '{{.State.Health.Status}}' $(docker-compose ps -q db))" = healthy ]; do sleep 0.2; done`},
		{command: "docker-compose port db 5432", shown: []string{"127.0.0.1:32768"}},
		{command: `docker-compose exec -T -e PGPASSWORD="$(cat ` + secret[1] + `)" db psql -h 127.0.0.1 -U postgres -Atc "select 'let in'"`, shown: []string{"let in"}},
	}
	p.types(steps)
	holds(t, steps)
}

// In the place of the … a password, and of the official image one of its layout.
func officialBlock(t *testing.T, b block) {
	p := newPerson(t)
	if err := os.Symlink(binary(t), p.dir+"/bin/pgbaton"); err != nil {
		t.Fatal(err)
	}
	p.names("db")
	command := strings.Replace(b.lines[0], "…", "-d --name db -e POSTGRES_PASSWORD=secret", 1)
	command = strings.Replace(strings.Replace(command, "postgres:17", official(17), 1), `"$PWD/bin/pgbaton:`, `"$(realpath bin/pgbaton):`, 1)
	steps := []step{
		{command: command},
		{command: `until docker exec db /pgbaton status --ready >/dev/null 2>&1; do sleep 0.1; done`},
	}
	p.wait = `settle() { :; }`
	p.types(steps)
	holds(t, steps)
}

// Swarm needs several hosts: its file is read by whatever reads Compose files
// here, and its settings by TestTheExamplesOfClustersHaveSettingsThatAreAccepted.
func TestTheExampleForSwarmIsAFileThatComposeAccepts(t *testing.T) {
	t.Parallel()
	args := []string{"docker-compose"}
	if _, err := exec.LookPath("docker-compose"); err != nil {
		args = []string{"docker", "compose"}
	}
	cmd := exec.CommandContext(t.Context(), args[0], append(args[1:], "-f", "swarm.yaml", "config")...)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "mode: global") {
		t.Errorf("%v\n%s", err, out)
	}
}
