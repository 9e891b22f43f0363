package inplace

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sort"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

const (
	maxConfigFile  = 16 << 20 // bytes of one file
	maxConfigAll   = 64 << 20 // bytes of all files
	maxConfigReads = 1000     // files, counted as often as they are included
	maxConfigDepth = 10       // CONF_FILE_MAX_DEPTH in conffiles.h
)

// configFile is a file that the old server reads.
type configFile struct {
	path  string // as the server opens it, absolute
	rel   string // its real place in the old PGDATA; empty outside of it
	data  []byte
	lines []upgrade.ConfLine
}

// includeTarget is what an include directive brings in: files in their order.
type includeTarget struct {
	dir   bool
	files []int
}

// configReader reads configuration files as the old server does
// (ParseConfigFile in guc-file.l and conffiles.c), with its user's rights.
type configReader struct {
	s        *Site
	real     string // the old PGDATA without links
	files    []*configFile
	byPath   map[string]int
	includes map[upgrade.ConfPlace]includeTarget
	order    []confOccurrence // every setting, as often as it is read
	findings []node.Finding
	reads    int
	bytes    int
}

type confOccurrence struct {
	place upgrade.ConfPlace
	name  string // in lower case
	value string
}

func newConfigReader(s *Site) (*configReader, error) {
	real, err := pg.ResolveAs(&s.User, s.PGData)
	if err != nil {
		return nil, fmt.Errorf("read the configuration of %s: %w", s.PGData, err)
	}
	return &configReader{
		s: s, real: real, byPath: map[string]int{}, includes: map[upgrade.ConfPlace]includeTarget{},
	}, nil
}

// readAll reads what SelectConfigFiles in guc.c reads, and returns the index
// of postgresql.auto.conf, or -1.
func (r *configReader) readAll(args []upgrade.ConfArg) (autoConf int) {
	config := filepath.Join(r.s.PGData, "postgresql.conf")
	for _, a := range args {
		switch strings.ToLower(a.Name) {
		case "config_file":
			// The server is started in the root directory.
			config = filepath.Join("/", a.Value)
		case "data_directory":
			r.dataDirectory(a.Value, "the argument "+a.Text)
		}
	}
	r.read(config, nil, 0, true)
	for _, o := range r.order {
		if o.name == "data_directory" {
			r.dataDirectory(o.value, fmt.Sprintf("%s line %d", r.files[o.place.File].path, o.place.Number))
		}
	}
	return r.read(filepath.Join(r.s.PGData, "postgresql.auto.conf"), nil, 0, false)
}

// dataDirectory refuses a setting that leads away from the cluster.
func (r *configReader) dataDirectory(value, where string) {
	real, err := pg.ResolveAs(&r.s.User, filepath.Join("/", value))
	if err == nil && real == r.real {
		return
	}
	r.refuse("data-directory", fmt.Sprintf("%s says that the data directory is %s, but %s is to be upgraded.", where, value, r.s.PGData),
		"Remove the setting; pgbaton passes the data directory to the server.", "")
}

// read parses one file and what it includes. from is the line that includes
// it; must says that it has to be there. It returns the file's index, or -1.
func (r *configReader) read(path string, from *configLine, depth int, must bool) int {
	r.reads++
	switch {
	case depth > maxConfigDepth || from != nil && from.file == path:
		r.refuse("config-include", fmt.Sprintf("%sThe configuration file %s includes itself, or others more than %d deep.", from, path, maxConfigDepth),
			"No server would start with it: remove the include.", "")
		return -1
	case r.reads > maxConfigReads:
		if r.reads == maxConfigReads+1 {
			r.refuse("config-include", fmt.Sprintf("%sThe configuration consists of more than %d files.", from, maxConfigReads), "Put them together.", "")
		}
		return -1
	}
	i, ok := r.load(path, from, must)
	if !ok {
		return -1
	}
	for _, l := range r.files[i].lines {
		if l.Bad != "" {
			continue
		}
		place := upgrade.ConfPlace{File: i, Number: l.Number}
		if directive, ok := upgrade.ConfInclude(l.Name); ok {
			r.include(directive, l.Value, place, depth)
			continue
		}
		r.order = append(r.order, confOccurrence{place, strings.ToLower(l.Name), l.Value})
	}
	return i
}

// load reads a file the first time that it is named.
func (r *configReader) load(path string, from *configLine, must bool) (index int, ok bool) {
	if i, seen := r.byPath[path]; seen {
		return i, true
	}
	data, err := pg.ReadUserFile(&r.s.User, path, maxConfigFile)
	if errors.Is(err, fs.ErrNotExist) && !must {
		return 0, false
	}
	if err == nil && r.bytes+len(data) > maxConfigAll {
		err = fmt.Errorf("all configuration files together are larger than %d bytes", maxConfigAll)
	}
	if err != nil {
		r.refuse("config-unreadable", fmt.Sprintf("%sThe configuration file %s cannot be read as the server's user.", from, path),
			"Make it a readable file of less than 16 MB, or remove what includes it.", err.Error())
		return 0, false
	}
	r.bytes += len(data)
	f := &configFile{path: path, data: data, lines: upgrade.ParseConf(data)}
	if real, err := pg.ResolveAs(&r.s.User, path); err == nil {
		if rel, ok := below(r.real, real); ok && !strings.HasPrefix(rel, ".pgbaton/") {
			f.rel = rel
		}
	}
	r.files = append(r.files, f)
	r.byPath[path] = len(r.files) - 1
	return len(r.files) - 1, true
}

// include follows one directive. Relative names are relative to the directory
// of the file that holds it (AbsoluteConfigLocation in conffiles.c).
func (r *configReader) include(directive, value string, place upgrade.ConfPlace, depth int) {
	from := &configLine{r.files[place.File].path, place.Number}
	if strings.Trim(value, " \t\r\n") == "" {
		r.refuse("config-include", fmt.Sprintf("%sThe name after %s is empty.", from, directive), "No server would start with it: remove the line.", "")
		return
	}
	path := filepath.Clean(value)
	if !filepath.IsAbs(value) {
		path = filepath.Join(filepath.Dir(from.file), value)
	}
	target := includeTarget{dir: directive == "include_dir"}
	names := []string{path}
	if target.dir {
		var err error
		if names, err = r.confsIn(path); err != nil {
			r.refuse("config-unreadable", fmt.Sprintf("%sThe directory %s cannot be read as the server's user.", from, path),
				"Make it readable, or remove the include_dir.", err.Error())
			return
		}
	}
	for _, name := range names {
		if i := r.read(name, from, depth+1, directive != "include_if_exists"); i >= 0 {
			target.files = append(target.files, i)
		}
	}
	r.includes[place] = target
}

// confsIn are the files that include_dir reads, in its order (GetConfFilesInDir).
func (r *configReader) confsIn(dir string) ([]string, error) {
	names, err := pg.ListAs(&r.s.User, dir)
	if err != nil {
		return nil, err
	}
	var res []string
	for _, n := range names {
		if len(n) >= 6 && n[0] != '.' && strings.HasSuffix(n, ".conf") {
			res = append(res, filepath.Join(dir, n))
		}
	}
	sort.Strings(res)
	return res, nil
}

// configLine is a place in a configuration file, for sentences.
type configLine struct {
	file   string
	number int
}

// String is empty or the beginning of a sentence.
func (l *configLine) String() string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf("%s line %d: ", l.file, l.number)
}

func (r *configReader) refuse(code, text, hint, detail string) {
	r.findings = append(r.findings, node.Finding{Level: node.Refuse, Code: code, Text: text, Hint: hint, Detail: detail})
}

func (r *configReader) refused() bool { return refuses(r.findings) }
