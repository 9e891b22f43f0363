package pg

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestTheMajorIsReadFromPGVersion(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want int
		err  error
	}{
		"one number":                    {"17\n", 17, nil},
		"without a newline":             {"18", 18, nil},
		"two numbers before 10":         {"9.6\n", 9, nil},
		"empty":                         {"", 0, ErrEmptyVersion},
		"blank":                         {"\n", 0, ErrEmptyVersion},
		"words":                         {"seventeen\n", 0, ErrBadVersion},
		"a number and a word":           {"17.x\n", 0, ErrBadVersion},
		"zero":                          {"0\n", 0, ErrBadVersion},
		"negative":                      {"-17\n", 0, ErrBadVersion},
		"two lines":                     {"17\n18\n", 0, ErrBadVersion},
		"bytes that are not text":       {"\x00\xff", 0, ErrBadVersion},
		"a number that is not sensible": {"99999999999", 0, ErrBadVersion},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "PG_VERSION"), c.text)
			got, err := DataMajor(dir)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("%d, %v", got, err)
			}
		})
	}
	if _, err := DataMajor(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestWhatLiesInADirectory(t *testing.T) {
	ours := []string{".pgbaton", "upgrade", "upgrade.result.json"}
	for name, c := range map[string]struct {
		files []string // "x/" makes a directory, "x=text" a file with text
		want  Content
	}{
		"empty":                             {nil, Content{Kind: Empty}},
		"only our own entries are nothing":  {[]string{".pgbaton/", "upgrade", "upgrade.result.json"}, Content{Kind: Empty}},
		"a cluster":                         {[]string{"PG_VERSION=17", "base/"}, Content{Kind: Cluster}},
		"an empty PG_VERSION is no cluster": {[]string{"PG_VERSION="}, Content{Kind: Foreign, Names: []string{"PG_VERSION"}}},
		"the root of a file system":         {[]string{"lost+found/", ".pgbaton/"}, Content{Kind: Foreign, Names: []string{"lost+found"}, LostFound: true}},
		"lost+found beside something else":  {[]string{"lost+found/", "a"}, Content{Kind: Foreign, Names: []string{"a", "lost+found"}}},
		"many foreign names, of which some": {[]string{"a", "b", "c", "d", "e", "f", "g"}, Content{Kind: Foreign, Names: []string{"a", "b", "c", "d", "e"}, More: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			makeFiles(t, dir, c.files)
			got, err := Look(dir, ours...)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, %v", got, err)
			}
			if (got.Hint() != "") != (got.Kind == Foreign) {
				t.Errorf("hint %q", got.Hint())
			}
		})
	}
	if got, err := Look(filepath.Join(t.TempDir(), "no")); err != nil || got.Kind != Missing {
		t.Errorf("missing: %+v, %v", got, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	if got, err := Look(file); err == nil {
		t.Errorf("a file in place of a directory: %+v", got)
	}
}

func makeFiles(t *testing.T, dir string, files []string) {
	t.Helper()
	for _, f := range files {
		path := filepath.Join(dir, f)
		if f[len(f)-1] == '/' {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
			continue
		}
		name, text := f, "x"
		for i := range f {
			if f[i] == '=' {
				name, text = f[:i], f[i+1:]
				break
			}
		}
		write(t, filepath.Join(dir, name), text)
	}
}
