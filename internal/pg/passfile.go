package pg

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// samePassfile reports whether the file is as WritePassfile would leave it:
// libpq ignores one that others may read.
func samePassfile(root *os.Root, name, text string, uid int) bool {
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // only read from
	info, err := f.Stat()
	if err != nil || info.Mode() != 0o600 || info.Size() != int64(len(text)) {
		return false
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || uid >= 0 && int64(st.Uid) != int64(uid) {
		return false
	}
	raw := make([]byte, len(text))
	n, err := f.Read(raw)
	return err == nil && string(raw[:n]) == text
}

// passfilePassword finds a role's password in a file that WritePassfile wrote.
func passfilePassword(path, user string) (string, error) {
	raw, err := readRegular(path, 64<<10)
	if err != nil {
		return "", err
	}
	escape := strings.NewReplacer(`\`, `\\`, `:`, `\:`)
	rest, ok := strings.CutPrefix(string(raw), "*:*:*:"+escape.Replace(user)+":")
	if !ok {
		return "", errors.New("the password file " + path + " is not for this role")
	}
	return strings.NewReplacer(`\\`, `\`, `\:`, `:`).Replace(strings.TrimSuffix(rest, "\n")), nil
}
