package pg

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// sumLine ends a generated file: whoever edits the file leaves another sum.
const sumLine = "# Checksum of the lines above: "

// keptSuffix is added to the name of a generated file for what was edited in it.
const keptSuffix = ".edited"

func sealed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return text + sumLine + hex.EncodeToString(sum[:8]) + "\n"
}

// edited reports whether a generated file is there and is not as it was written.
func edited(path string) (text string, is bool) {
	raw, err := readRegular(path, maxUserFile+4096)
	if err != nil {
		return "", false
	}
	text = string(raw)
	body, _, _ := strings.Cut(text, sumLine)
	return text, sealed(body) != text
}

// keepEdits keeps what somebody edited in the generated files (`show hba_file`
// names them, so configuration tools do) beside them, before they are replaced.
func (r Rules) keepEdits() error {
	for _, path := range []string{r.HBA(), r.Ident()} {
		text, is := edited(path)
		if !is {
			continue
		}
		if _, err := replaceFile(path+keptSuffix, text, r.Owner); err != nil {
			return fmt.Errorf("keep an edit of %s: %w", path, err)
		}
	}
	return nil
}

// LostEdits are sentences about edits of the generated files that nobody has
// made in the user's own file since.
func (r Rules) LostEdits() []string {
	var lost []string
	for _, file := range []struct{ generated, user string }{{r.HBA(), r.UserHBA}, {r.Ident(), r.UserIdent}} {
		kept, err := os.Lstat(file.generated + keptSuffix)
		if err != nil {
			continue
		}
		if user, err := os.Stat(file.user); err == nil && user.ModTime().After(kept.ModTime()) {
			continue
		}
		lost = append(lost, fmt.Sprintf("%s was edited, which is generated: the edit is not in effect and was kept as %s%s. Edit %s and reload, then remove that copy",
			file.generated, file.generated, keptSuffix, file.user))
	}
	return lost
}
