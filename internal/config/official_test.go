package config

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// secretFiles reads files in memory.
func secretFiles(files map[string]string) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		content, found := files[path]
		if !found {
			return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
		}
		return []byte(content), nil
	}
}

func TestLoadOfficial(t *testing.T) {
	files := map[string]string{"/p": "from file\n\n", "/empty": "\n", "/nul": "a\x00b \r\n\x00\n", "/args": "--lc-collate='C D'\n"}
	tests := []struct {
		name    string
		environ []string
		want    Official
	}{
		{"nothing set gives the image's defaults", nil, Official{User: "postgres", Database: "postgres", Port: 5432}},
		{"the database is called as the user", []string{"POSTGRES_USER=Jane \"x\""}, Official{User: `Jane "x"`, Database: `Jane "x"`, Port: 5432}},
		{"an empty variable counts as not set", []string{"POSTGRES_USER=", "POSTGRES_DB=", "PGPORT=", "PG_MAJOR="}, Official{User: "postgres", Database: "postgres", Port: 5432}},
		{"a file's newlines at the end do not count", []string{"POSTGRES_PASSWORD_FILE=/p"}, Official{Password: "from file", User: "postgres", Database: "postgres", Port: 5432}},
		{"NUL bytes are dropped before newlines, other white space stays", []string{"POSTGRES_PASSWORD_FILE=/nul"}, Official{Password: "ab \r", User: "postgres", Database: "postgres", Port: 5432}},
		{"an empty file for the user gives the default", []string{"POSTGRES_USER_FILE=/empty"}, Official{User: "postgres", Database: "postgres", Port: 5432}},
		{"a variable and an empty _FILE are no contradiction", []string{"POSTGRES_PASSWORD=x", "POSTGRES_PASSWORD_FILE="}, Official{Password: "x", User: "postgres", Database: "postgres", Port: 5432}},
		{"initdb's arguments stay a piece of shell", []string{"POSTGRES_INITDB_ARGS_FILE=/args"}, Official{InitdbArgs: "--lc-collate='C D'", User: "postgres", Database: "postgres", Port: 5432}},
		{
			"two variables have no _FILE",
			[]string{"POSTGRES_INITDB_WALDIR_FILE=/none", "POSTGRES_HOST_AUTH_METHOD_FILE=/none", "POSTGRES_INITDB_WALDIR=/w", "POSTGRES_HOST_AUTH_METHOD=md5"},
			Official{WalDir: "/w", HostAuthMethod: "md5", User: "postgres", Database: "postgres", Port: 5432},
		},
		{
			"PostgreSQL's own variables are read too",
			[]string{"PGDATA=/d", "PG_MAJOR=17", "PGPORT=5433", "PGUSER=u", "PGPASSWORD=w"},
			Official{PGData: "/d", Major: 17, Port: 5433, PGUser: "u", PGPassword: "w", User: "postgres", Database: "postgres"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := LoadOfficial(test.environ, secretFiles(files))
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

func TestOfficialRefusals(t *testing.T) {
	for _, name := range fromFiles {
		t.Run(name+" and its file exclude each other", func(t *testing.T) {
			_, err := LoadOfficial([]string{name + "=" + hidden, name + "_FILE=/none"}, secretFiles(nil))
			want := fmt.Sprintf("error: both %s and %s_FILE are set (but are exclusive)", name, name)
			if err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		})
		t.Run("an unreadable file for "+name+" is named", func(t *testing.T) {
			_, err := LoadOfficial([]string{name + "_FILE=/none"}, secretFiles(nil))
			wantRefusal(t, err, name+"_FILE", "/none", "not exist", untouched)
			if strings.Count(fmt.Sprint(err), "/none") != 1 {
				t.Errorf("the path is named twice: %v", err)
			}
		})
	}
	for _, variable := range []string{"PGPORT=x", "PGPORT=0", "PGPORT=70000", "PG_MAJOR=seventeen", "PG_MAJOR=-1"} {
		_, err := LoadOfficial([]string{variable}, secretFiles(nil))
		name, _, _ := strings.Cut(variable, "=")
		wantRefusal(t, err, name, "not a number")
	}
}

func TestOfficialEnviron(t *testing.T) {
	given := []string{
		"PATH=/bin", "POSTGRES_PASSWORD=old", "PGBATON_TOKEN=" + hidden, "POSTGRES_USER_FILE=/u", "POSTGRES_INITDB_WALDIR=/w",
		"POSTGRES_PASSWORD_FILE=", "POSTGRES_OTHER_FILE=/x", "LANG=en_US.utf8", "odd",
	}
	before := slices.Clone(given)
	official := Official{Password: "p", User: "u", Database: "d"}
	want := []string{
		"PATH=/bin", "POSTGRES_INITDB_WALDIR=/w", "POSTGRES_OTHER_FILE=/x", "LANG=en_US.utf8", "odd",
		"POSTGRES_PASSWORD=p", "POSTGRES_USER=u", "POSTGRES_DB=d", "POSTGRES_INITDB_ARGS=",
	}
	if got := official.Environ(given); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := ServerEnviron(official.Environ(given)); !slices.Equal(got, []string{"PATH=/bin", "LANG=en_US.utf8", "odd"}) {
		t.Errorf("the server gets %q", got)
	}
	if !slices.Equal(given, before) {
		t.Errorf("the given environment was changed: %q", given)
	}
}

func TestVerifyMinimum(t *testing.T) {
	t.Run("no password and no trust is refused in the official words", func(t *testing.T) {
		for _, method := range []string{"", "md5", "Trust"} {
			warning, err := Official{HostAuthMethod: method}.VerifyMinimum()
			if err == nil || warning != "" {
				t.Fatalf("got %q, %v", warning, err)
			}
			first, _, _ := strings.Cut(err.Error(), "\n")
			if first != "Error: Database is uninitialized and superuser password is not specified." {
				t.Errorf("first line is %q", first)
			}
		}
	})
	t.Run("trust is warned of, with a password too", func(t *testing.T) {
		for _, password := range []Secret{"", "x"} {
			warning, err := Official{Password: password, HostAuthMethod: "trust"}.VerifyMinimum()
			if err != nil || !strings.Contains(warning, `WARNING: POSTGRES_HOST_AUTH_METHOD has been set to "trust".`) {
				t.Errorf("got %q, %v", warning, err)
			}
		}
	})
	t.Run("a password is enough", func(t *testing.T) {
		if warning, err := (Official{Password: "x"}).VerifyMinimum(); warning != "" || err != nil {
			t.Errorf("got %q, %v", warning, err)
		}
	})
}
