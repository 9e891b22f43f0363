package entrypoint

import (
	"strings"
	"testing"
)

func TestChoosePlace(t *testing.T) {
	const vol, data = home, home + "/data"
	tests := []struct {
		name           string
		survey         survey
		volume, pgdata string
		err            string // a part of it
	}{
		{"an empty volume gets the directory of PG_MAJOR", survey{major: 17, mounts: []string{"/", vol}}, vol, vol + "/17/docker", ""},
		{"without any mount the same directory is used", survey{major: 17, mounts: []string{"/"}}, vol, vol + "/17/docker", ""},
		{
			"one cluster is served whatever PG_MAJOR says",
			survey{major: 18, mounts: []string{"/", vol}, clusters: []string{vol + "/15/docker"}},
			vol, vol + "/15/docker", "",
		},
		{"an empty mount at data is PGDATA itself", survey{major: 17, mounts: []string{"/", vol, data}}, data, data, ""},
		{
			"a mount at data hides what lies in the volume around it",
			survey{major: 17, mounts: []string{"/", vol, data}, clusters: []string{vol + "/17/docker"}},
			data, data, "",
		},
		{
			"an adopted cluster at data is served as it is",
			survey{major: 18, mounts: []string{"/", vol, data}, clusters: []string{data}},
			data, data, "",
		},
		{
			"a cluster that moved below the mount at data is found",
			survey{major: 18, mounts: []string{"/", data}, clusters: []string{data + "/17/docker"}},
			data, data + "/17/docker", "",
		},
		{
			"an older volume mounted one level up keeps its directory",
			survey{major: 18, mounts: []string{"/", vol}, clusters: []string{data}},
			vol, data, "",
		},
		{
			"an older volume that is PGDATA itself, mounted at the new place",
			survey{major: 18, mounts: []string{"/", vol}, clusters: []string{vol}},
			vol, vol, "",
		},
		{
			"of several clusters the record decides",
			survey{
				major: 18, mounts: []string{"/", vol}, clusters: []string{vol + "/15/docker", vol + "/17/docker"},
				records: map[string]string{vol: vol + "/15/docker"},
			},
			vol, vol + "/15/docker", "",
		},
		{
			"several clusters without a record are named and none is served",
			survey{major: 18, mounts: []string{"/", vol}, clusters: []string{vol + "/15/docker", vol + "/17/docker"}},
			vol, vol, vol + "/15/docker, " + vol + "/17/docker",
		},
		{
			"a record that names none of them does not decide",
			survey{
				major: 18, mounts: []string{"/", vol}, clusters: []string{vol + "/15/docker", vol + "/17/docker"},
				records: map[string]string{vol: vol + "/18/docker"},
			},
			vol, vol, "several clusters",
		},
		{
			"PGDATA of the user's wins",
			survey{pgdata: data + "/pgdata", major: 17, mounts: []string{"/", vol, data}, clusters: []string{vol + "/17/docker"}},
			data, data + "/pgdata", "",
		},
		{"PGDATA elsewhere takes its own mount as the volume", survey{pgdata: "/srv/pg/a", mounts: []string{"/", "/srv", "/srv/pg"}}, "/srv/pg", "/srv/pg/a", ""},
		{"a mount's name is no prefix of a longer one", survey{pgdata: "/srv/pgdata", mounts: []string{"/", "/srv/pg"}}, "/srv/pgdata", "/srv/pgdata", ""},
		{"PGDATA on no mount is its own volume", survey{pgdata: "/mydata", mounts: []string{"/"}}, "/mydata", "/mydata", ""},
		{
			"with peers an empty mount at data gets a directory below",
			survey{major: 17, mounts: []string{"/", data}, peers: true, bare: []string{data}},
			data, data + "/17/docker", "",
		},
		{
			"with peers a cluster at the mount itself is looked at there, to be moved",
			survey{major: 17, mounts: []string{"/", data}, peers: true, clusters: []string{data}},
			data, data, "",
		},
		{
			"with peers a mount with something else in it stays what it is",
			survey{major: 17, mounts: []string{"/", data}, peers: true},
			data, data, "",
		},
		{
			"a cluster below a named mount is found, of whatever major",
			survey{
				pgdata: "/srv/pg", major: 18, mounts: []string{"/", "/srv/pg"}, peers: true,
				clusters: []string{"/srv/pg/17/docker"}, bare: []string{"/srv/pg"},
			},
			"/srv/pg", "/srv/pg/17/docker", "",
		},
		{
			"without peers only where our record names it",
			survey{
				pgdata: "/srv/pg", major: 18, mounts: []string{"/", "/srv/pg"},
				clusters: []string{"/srv/pg/17/docker"}, bare: []string{"/srv/pg"}, records: map[string]string{"/srv/pg": "/srv/pg/17/docker"},
			},
			"/srv/pg", "/srv/pg/17/docker", "",
		},
		{
			"and not where it does not",
			survey{
				pgdata: "/srv/pg", major: 18, mounts: []string{"/", "/srv/pg"},
				clusters: []string{"/srv/pg/17/docker"}, bare: []string{"/srv/pg"},
			},
			"/srv/pg", "/srv/pg", "",
		},
		{
			"several below it are named",
			survey{
				pgdata: "/srv/pg", mounts: []string{"/", "/srv/pg"}, peers: true,
				clusters: []string{"/srv/pg/17/docker", "/srv/pg/18/docker"}, bare: []string{"/srv/pg"},
			},
			"/srv/pg", "/srv/pg", "several clusters",
		},
		{
			"the argument -D cannot mean the directory below",
			survey{pgdata: "/srv/pg", byArg: true, major: 17, mounts: []string{"/", "/srv/pg"}, peers: true, bare: []string{"/srv/pg"}},
			"/srv/pg", "/srv/pg", "Leave -D out",
		},
		{
			"a named directory below its mount is nobody's to lower",
			survey{pgdata: "/srv/pg/a", major: 17, mounts: []string{"/", "/srv/pg"}, peers: true, bare: []string{"/srv/pg/a"}},
			"/srv/pg", "/srv/pg/a", "",
		},
		{"PGBATON_VOLUME wins over the mount", survey{pgdata: "/srv/a/data", override: "/srv/a", mounts: []string{"/", "/srv"}}, "/srv/a", "/srv/a/data", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := choosePlace(tt.survey)
			if (err != nil) != (tt.err != "") || (err != nil && !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("error %v, want one with %q", err, tt.err)
			}
			if got.volume != tt.volume || got.pgdata != tt.pgdata {
				t.Errorf("got volume %s and PGDATA %s, want %s and %s", got.volume, got.pgdata, tt.volume, tt.pgdata)
			}
		})
	}
}

func TestGivenPGData(t *testing.T) {
	tests := []struct {
		name, env string
		args      []string
		want, err string
	}{
		{"unset", "", nil, "", ""},
		{"the image's own link counts as unset", "/run/pgbaton/data", nil, "", ""},
		{"the link in another control directory too", "/ctl/data", nil, "", ""},
		{"the user's, cleaned", "/srv//pg/", nil, "/srv/pg", ""},
		{"-D as two arguments", "", []string{"-c", "x=1", "-D", "/srv/a"}, "/srv/a", ""},
		{"-D as one", "", []string{"-D/srv/a"}, "/srv/a", ""},
		{"the same twice is no contradiction", "/srv/a", []string{"-D", "/srv/a/"}, "/srv/a", ""},
		{"two directories are refused and both are named", "/srv/a", []string{"-D", "/srv/b"}, "", "PGDATA is /srv/a and the argument -D is /srv/b"},
		{"a relative path is refused", "data", nil, "", "not an absolute path"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := givenPGData(tt.env, "/ctl", tt.args)
			if got != tt.want || (err != nil) != (tt.err != "") || (err != nil && !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
