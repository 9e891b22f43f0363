// Package image holds what the image and the binary share: the shell functions
// that derived images and init scripts know from the official entrypoint. The
// binary carries them too, for images that have no file of ours.
package image

import _ "embed"

// Functions is docker-entrypoint.sh, to be sourced by bash.
//
//go:embed docker-entrypoint.sh
var Functions []byte
