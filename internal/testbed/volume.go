package testbed

import (
	"context"
	"net/http"
	"net/url"
)

// Volume is a named Docker volume; its contents outlive containers and end
// with the test.
type Volume struct {
	Name string

	tb   TB
	path string
}

// NewVolume makes an empty volume.
func NewVolume(tb TB) *Volume {
	tb.Helper()
	docker, err := dockerEngine()
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	v := &Volume{Name: newName(tb.Name()), tb: tb}
	in := map[string]any{"Name": v.Name, "Labels": map[string]string{Label: runID}}
	var made struct{ Mountpoint string }
	if err := docker.call(ctx, http.MethodPost, "/volumes/create", nil, in, &made); err != nil {
		tb.Fatalf("testbed: create volume: %v", err)
	}
	v.path = made.Mountpoint
	tb.Cleanup(func() {
		if keep() {
			tb.Logf("KEEP=1: volume %s stays", v.Name)
			return
		}
		if err := removeVolume(docker, v.Name); err != nil {
			tb.Logf("testbed: remove volume %s: %v", v.Name, err)
		}
	})
	return v
}

// At mounts the volume into a container. As with every named volume, the
// engine fills an empty one from the image and copies the owner.
func (v *Volume) At(target string) Mount {
	return Mount{kind: "volume", source: v.Name, target: target}
}

// Remove removes the volume before the end of the test; its containers have
// to be gone.
func (v *Volume) Remove() {
	v.tb.Helper()
	docker, err := dockerEngine()
	if err == nil {
		err = removeVolume(docker, v.Name)
	}
	if err != nil {
		v.tb.Fatalf("testbed: remove volume %s: %v", v.Name, err)
	}
}

// Path is where the engine keeps the volume; only root may look there.
func (v *Volume) Path() string { return v.path }

func removeVolume(docker *engine, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := docker.call(ctx, http.MethodDelete, "/volumes/"+name, url.Values{"force": {"1"}}, nil, nil)
	if notFound(err) {
		return nil
	}
	return err
}
