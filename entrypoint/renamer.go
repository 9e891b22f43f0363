package entrypoint

import (
	"bytes"
	"io"
)

// renamer passes a program's words on with one path in place of another, which
// the program was given and which is gone when somebody reads of it.
type renamer struct {
	w        io.Writer
	from, to string
	held     []byte // the beginning of the path, perhaps
}

// Write passes on what cannot be a part of the path.
func (r *renamer) Write(p []byte) (int, error) {
	text := bytes.ReplaceAll(append(r.held, p...), []byte(r.from), []byte(r.to))
	keep := 0
	for n := min(len(r.from)-1, len(text)); n > 0; n-- {
		if bytes.HasSuffix(text, []byte(r.from[:n])) {
			keep = n
			break
		}
	}
	_, err := r.w.Write(text[:len(text)-keep])
	r.held = bytes.Clone(text[len(text)-keep:])
	return len(p), err
}

func (r *renamer) flush() {
	_, _ = r.w.Write(r.held) // nobody is left to tell
	r.held = nil
}
