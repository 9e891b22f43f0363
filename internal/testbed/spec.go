package testbed

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Spec says how a container is made. Only Image is required.
type Spec struct {
	Image      string
	Name       string            // full name; default: pgbaton-<test>-<random>
	Hostname   string            //
	Args       []string          // after the entrypoint
	Entrypoint []string          // instead of the image's
	Env        map[string]string //
	Port       string            // of the server, for our own clients; empty means 5432
	Mounts     []Mount           //
	Files      []File            // written before the first start
	User       string            // as docker run --user
	CapAdd     []string          //
	CapDrop    []string          //
	ReadOnly   bool              // root file system
	Init       bool              // docker's own init as PID 1
	TTY        bool              // with an open standard input
	Privileged bool              //
	Security   []string          // as docker run --security-opt
	PIDMode    string            // "container:<name>" shares that one's PID namespace
	Network    string            // default: the engine's bridge
	Net        *Network          // instead of Network: one of the test's own
	IP         string            // in Net; it stays the same at each start
	Aliases    []string          // further names in Net, beside Hostname
	ShmSize    int64             // bytes; 0: the engine's 64 MB
	Memory     int64             // bytes; 0: no limit
	OnExit     string            // restart policy: "always", "on-failure", …; default none
	Stop       time.Duration     // grace of docker stop; 0: the engine's 10 s
	Labels     map[string]string //
}

// File is a file for Spec.Files, owned by root unless UID says otherwise.
type File struct {
	Path string
	Data string
	Mode int64 // default 0644
	UID  int
}

// Mount is something mounted into a container: see Volume.At, Loop.At, Bind
// and Tmpfs.
type Mount struct {
	kind     string // bind, volume or tmpfs
	source   string
	target   string
	readOnly bool
	size     int64
}

// Bind mounts a path of the host.
func Bind(host, target string) Mount { return Mount{kind: "bind", source: host, target: target} }

// Tmpfs mounts memory of a limited size; its contents end with the container.
func Tmpfs(target string, size int64) Mount { return Mount{kind: "tmpfs", target: target, size: size} }

// ReadOnly is the same mount without the right to write.
func (m Mount) ReadOnly() Mount {
	m.readOnly = true
	return m
}

// createRequest is the part of the engine's POST /containers/create that
// Spec needs.
type createRequest struct {
	Image       string
	Hostname    string            `json:",omitempty"`
	Cmd         []string          `json:",omitempty"`
	Entrypoint  []string          `json:",omitempty"`
	Env         []string          `json:",omitempty"`
	User        string            `json:",omitempty"`
	Tty         bool              `json:",omitempty"`
	OpenStdin   bool              `json:",omitempty"`
	StopTimeout *int              `json:",omitempty"`
	Labels      map[string]string `json:",omitempty"`
	HostConfig  hostConfig

	NetworkingConfig *networkingConfig `json:",omitempty"`
}

type hostConfig struct {
	Mounts         []mountRequest `json:",omitempty"`
	CapAdd         []string       `json:",omitempty"`
	CapDrop        []string       `json:",omitempty"`
	ReadonlyRootfs bool           `json:",omitempty"`
	Init           bool           `json:",omitempty"`
	Privileged     bool           `json:",omitempty"`
	SecurityOpt    []string       `json:",omitempty"`
	PidMode        string         `json:",omitempty"`
	NetworkMode    string         `json:",omitempty"`
	ShmSize        int64          `json:",omitempty"`
	Memory         int64          `json:",omitempty"`
	RestartPolicy  struct{ Name string }
}

type mountRequest struct {
	Type         string
	Source       string        `json:",omitempty"`
	Target       string        //
	ReadOnly     bool          `json:",omitempty"`
	TmpfsOptions *tmpfsOptions `json:",omitempty"`
}

type tmpfsOptions struct {
	SizeBytes int64 `json:",omitempty"`
}

func (s Spec) request() createRequest {
	r := createRequest{
		Image: s.Image, Hostname: s.Hostname, Cmd: s.Args, Entrypoint: s.Entrypoint, User: s.User,
		Tty: s.TTY, OpenStdin: s.TTY, Labels: map[string]string{Label: runID},
		HostConfig: hostConfig{
			CapAdd: s.CapAdd, CapDrop: s.CapDrop, ReadonlyRootfs: s.ReadOnly, Init: s.Init,
			Privileged: s.Privileged, SecurityOpt: s.Security, PidMode: s.PIDMode,
			NetworkMode: s.Network, ShmSize: s.ShmSize, Memory: s.Memory,
		},
	}
	maps.Copy(r.Labels, s.Labels)
	r.HostConfig.RestartPolicy.Name = s.OnExit
	for _, k := range slices.Sorted(maps.Keys(s.Env)) {
		r.Env = append(r.Env, k+"="+s.Env[k])
	}
	if s.Stop > 0 {
		t := seconds(s.Stop)
		r.StopTimeout = &t
	}
	// A binary that is being worked on, without building the image again.
	if own := os.Getenv("PGBATON_TEST_BINARY"); own != "" && hasBinary(s.Image) {
		s.Mounts = append(slices.Clone(s.Mounts), Bind(own, "/usr/local/bin/pgbaton").ReadOnly())
	}
	if s.Net != nil {
		r.HostConfig.NetworkMode = s.Net.Name
		r.NetworkingConfig = &networkingConfig{map[string]endpoint{s.Net.Name: s.endpoint()}}
	}
	for _, m := range s.Mounts {
		mr := mountRequest{Type: m.kind, Source: m.source, Target: m.target, ReadOnly: m.readOnly}
		if m.kind == "tmpfs" {
			mr.TmpfsOptions = &tmpfsOptions{m.size}
		}
		r.HostConfig.Mounts = append(r.HostConfig.Mounts, mr)
	}
	return r
}

// hasBinary reports whether an image is one of those that pgbaton is in.
func hasBinary(image string) bool {
	name, _, _ := strings.Cut(image, ":")
	return name == "pgbaton" || name == "pgbaton-keepalived"
}

// seconds rounds up: the engine knows whole seconds only.
func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// newName makes a name that tells which test made the object.
func newName(test string) string {
	test = strings.Trim(notInNames.ReplaceAllString(strings.ToLower(test), "-"), "-")
	if len(test) > 40 {
		test = test[:40]
	}
	return fmt.Sprintf("pgbaton-%s-%06x", test, rand.IntN(1<<24))
}
