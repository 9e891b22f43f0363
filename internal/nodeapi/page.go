package nodeapi

import (
	"crypto/sha256"
	_ "embed" // the page is one file
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
)

// pageHTML asks /v1 with a token that its user types in; nothing in it is
// secret, and nothing comes from elsewhere.
//
//go:embed page.html
var pageHTML string

// policy lets the page run its own script and style, known by their hashes,
// and speak to this node alone.
var policy = sync.OnceValue(func() string {
	return strings.Join([]string{
		"default-src 'none'", "script-src " + hashOf("script"), "style-src " + hashOf("style"), "connect-src 'self'",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
	}, "; ")
})

// hashOf is the source expression for the page's only element of a kind.
func hashOf(element string) string {
	_, rest, _ := strings.Cut(pageHTML, "<"+element+">")
	text, _, _ := strings.Cut(rest, "</"+element+">")
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// page is the status page.
func page(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy())
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	_, _ = w.Write([]byte(pageHTML)) // the client may be gone: nobody is left to tell
}
