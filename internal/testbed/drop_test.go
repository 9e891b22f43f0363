package testbed

import (
	"strings"
	"testing"
)

func TestAFileIsDroppedOntoAVolumeInEachWay(t *testing.T) {
	t.Parallel()
	v := NewVolume(t)
	c := Run(t, Spec{Image: plainImage, Entrypoint: []string{"sleep"}, Args: []string{"600"}, Mounts: []Mount{v.At("/volume")}})
	for _, by := range Droppers() {
		for _, data := range []string{"", "target: 17\nmode: 'link'\n"} {
			c.Drop(by, "/volume/upgrade", data)
			if got := c.Do(Command{Args: []string{"cat", "/volume/upgrade"}}).Stdout; got != data {
				t.Errorf("%s: the file holds %q and not %q", by, got, data)
			}
			if got := strings.Fields(c.MustExec("ls", "-A", "/volume")); len(got) != 1 {
				t.Errorf("%s left %q", by, got)
			}
			c.MustExec("rm", "/volume/upgrade")
		}
	}
}
