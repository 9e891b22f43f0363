package pg

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func TestControlDataReadsAsPgControldataPrintsIt(t *testing.T) {
	for _, name := range []string{
		"13-plain", "13-king", "15-plain", "15-renamed", "15-king",
		"17-plain", "17-renamed", "17-king", "18-plain", "18-renamed", "18-king",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadControl(unpack(t, name))
			if err != nil {
				t.Fatal(err)
			}
			want := controldata(t, name)
			for field, v := range map[string]string{
				"Database system identifier":     strconv.FormatUint(got.SystemIdentifier, 10),
				"Database cluster state":         got.State,
				"Latest checkpoint location":     got.CheckpointLSN,
				"Latest checkpoint's TimeLineID": strconv.Itoa(int(got.Timeline)),
				"Data page checksum version":     map[bool]string{true: "1", false: "0"}[got.Checksums],

				"Latest checkpoint's REDO location":  got.RedoLSN.String(),
				"Latest checkpoint's PrevTimeLineID": strconv.Itoa(int(got.PrevTimeline)),
				"Minimum recovery ending location":   got.MinRecoveryLSN.String(),
				"Min recovery ending loc's timeline": strconv.Itoa(int(got.MinRecoveryTimeline)),
				"wal_log_hints setting":              map[bool]string{true: "on", false: "off"}[got.WALLogHints],

				"max_connections setting":      strconv.FormatInt(got.Needs.Connections, 10),
				"max_worker_processes setting": strconv.FormatInt(got.Needs.Workers, 10),
				"max_wal_senders setting":      strconv.FormatInt(got.Needs.Senders, 10),
				"max_prepared_xacts setting":   strconv.FormatInt(got.Needs.Prepared, 10),
				"max_locks_per_xact setting":   strconv.FormatInt(got.Needs.Locks, 10),
			} {
				if v != want[field] {
					t.Errorf("%s: %q, pg_controldata says %q", field, v, want[field])
				}
			}
			if clean := want["Database cluster state"] == "shut down"; CleanShutdown(got) != clean {
				t.Errorf("clean shutdown: %v", !clean)
			}
		})
	}
}

func TestControlDataOfARunningStandby(t *testing.T) {
	got, err := parseControl(gunzip(t, "18-standby.pg_control.gz"))
	if err != nil || got.State != "in archive recovery" || CleanShutdown(got) {
		t.Errorf("%+v, %v", got, err)
	}
	said := controldata(t, "18-standby")
	if got.MinRecoveryLSN == 0 || got.MinRecoveryLSN.String() != said["Minimum recovery ending location"] ||
		strconv.Itoa(int(got.MinRecoveryTimeline)) != said["Min recovery ending loc's timeline"] {
		t.Errorf("%+v, pg_controldata says %q", got, said)
	}
}

func TestDamagedControlDataIsRefused(t *testing.T) {
	good := gunzip(t, "18-standby.pg_control.gz")
	change := func(at int, b byte) []byte {
		raw := append([]byte(nil), good...)
		raw[at] ^= b
		return raw
	}
	swapped := append([]byte(nil), good...)
	copy(swapped[controlVersion:], []byte{0, 0, 7, 8})
	for name, raw := range map[string][]byte{
		"empty":                           nil,
		"too short":                       good[:200],
		"one bit wrong":                   change(60, 4),
		"a version of the future":         change(controlVersion, 1),
		"all zero":                        make([]byte, 8192),
		"made by a big-endian PostgreSQL": swapped,
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := parseControl(raw); !errors.Is(err, ErrControl) {
				t.Errorf("%+v, %v", c, err)
			}
		})
	}
}

func TestAMissingControlFileIsSaidToBeMissing(t *testing.T) {
	if _, err := ReadControl(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestATornControlFileIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "global", "pg_control")
	good := gunzip(t, "18-standby.pg_control.gz")
	torn := append([]byte(nil), good...)
	torn[40] ^= 1
	write(t, path, string(torn))
	go func() {
		_ = os.WriteFile(path+".new", good, 0o600)
		_ = os.Rename(path+".new", path)
	}()
	if _, err := ReadControl(dir); err != nil {
		t.Error(err)
	}
}

func FuzzControl(f *testing.F) {
	f.Add(gunzip(f, "18-standby.pg_control.gz"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if c, err := parseControl(raw); err == nil && c.State == "" {
			t.Error("no state")
		}
	})
}
