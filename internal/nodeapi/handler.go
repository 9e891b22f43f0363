package nodeapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// side is the way by which a request came.
type side int

const (
	local  side = iota // the control socket: judged by the peer's uid
	remote             // TCP: judged by the cluster's token
)

// route answers one path.
type route struct {
	allow  string // the methods, as the Allow header names them
	handle http.HandlerFunc
}

// api is the handler of one side.
type api struct {
	*Server
	side   side
	routes map[string]route
}

func (s *Server) handler(side side) http.Handler {
	a := &api{Server: s, side: side}
	a.routes = map[string]route{
		"/metrics":    {"GET, HEAD", s.metrics.handler.ServeHTTP},
		"/v1/node":    {"GET, HEAD", a.node},
		"/v1/upgrade": {"GET, HEAD", a.upgrade},
		"/v1/order":   {"POST", a.order},
		"/v1/cluster": {"GET, HEAD", a.cluster},
		"/v1/events":  {"GET", a.events},
		"/v1/role":    {"POST", a.role},
		"/status":     {"GET, HEAD", page},
	}
	if side == local {
		a.routes["/v1/vrrp"] = route{"POST", a.vrrp}
	}
	for path, ask := range checks {
		a.routes[path] = route{"GET, HEAD, OPTIONS", a.health(ask)}
	}
	return a
}

// ServeHTTP finds the route and counts the answer. Paths are matched exactly:
// a redirect to a cleaned path would mislead a health check.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	served := guestOf(r.Context()).serve()
	defer served()
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	out := &answer{ResponseWriter: w, code: http.StatusOK}
	rt, known := a.routes[r.URL.Path]
	label := "other" // what clients make up must not become labels
	if known {
		label = r.URL.Path
	}
	defer func() { a.metrics.observe(label, out.code, time.Since(begun)) }()
	defer func() {
		if p := recover(); p != nil {
			a.panicked(out, label, p)
		}
	}()
	if a.admit(out, r) {
		if isV1(r) {
			guestOf(r.Context()).trust()
		}
		a.dispatch(out, r, rt, known)
	}
}

// panicked keeps a mistake of ours within one request, and visible: net/http
// would note it only where it notes the mistakes of clients.
func (a *api) panicked(w http.ResponseWriter, path string, p any) {
	a.log.Error("a request made the API panic; postgres is not affected",
		"path", path, "panic", p, "stack", string(debug.Stack()))
	writeError(w, http.StatusInternalServerError, "the supervisor made a mistake; its log has the details", "")
}

func (a *api) dispatch(w http.ResponseWriter, r *http.Request, rt route, known bool) {
	switch {
	case !known:
		writeError(w, http.StatusNotFound, "there is no "+clip(r.URL.Path)+" here",
			"health paths are those of Patroni (/primary, /replica, /readiness, …); see also /metrics and /v1/node")
	case !allows(rt.allow, r.Method):
		w.Header().Set("Allow", rt.allow)
		writeError(w, http.StatusMethodNotAllowed, clip(r.Method)+" is not possible on "+r.URL.Path, "use "+rt.allow)
	case a.isSilent(r.URL.Path):
		writeError(w, http.StatusServiceUnavailable, a.cfg.Still(), "")
	default:
		rt.handle(w, r)
	}
}

// isSilent reports whether this node answers nothing that others decide by: the
// latest snapshot says nothing of now.
func (a *api) isSilent(path string) bool {
	_, health := checks[path]
	remote := a.side == remote && strings.HasPrefix(path, "/v1/")
	return (health && path != "/liveness" || remote) && a.cfg.Still != nil && a.cfg.Still() != ""
}

func allows(allow, method string) bool {
	for m := range strings.SplitSeq(allow, ", ") {
		if m == method {
			return true
		}
	}
	return false
}

// admit refuses what needs credentials and has none. All of /v1 on TCP does,
// paths that do not exist included.
func (a *api) admit(w http.ResponseWriter, r *http.Request) bool {
	if a.side == local || !isV1(r) {
		return true
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return true
	}
	if a.cfg.Token == "" {
		writeError(w, http.StatusForbidden, "/v1 is closed on TCP: this node has no token",
			"set PGBATON_TOKEN_FILE, or use the control socket in the container (pgbaton status)")
		return false
	}
	if !sameToken(r.Header.Get("Authorization"), a.cfg.Token) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="pgbaton"`)
		writeError(w, http.StatusUnauthorized, "the token is missing or wrong",
			"send the header Authorization: Bearer <token of the cluster>")
		return false
	}
	return true
}

// isV1 reports whether a request is for what needs credentials on TCP.
func isV1(r *http.Request) bool { return r.URL.Path == "/v1" || strings.HasPrefix(r.URL.Path, "/v1/") }

// sameToken takes the same time whatever is wrong, the length included.
func sameToken(header, token string) bool {
	scheme, given, _ := strings.Cut(header, " ")
	a, b := sha256.Sum256([]byte(strings.TrimSpace(given))), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

// health answers one of Patroni's paths.
func (a *api) health(ask check) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		st := a.cfg.Source.State()
		code := http.StatusServiceUnavailable
		if ask(st, time.Now()) && !a.lags(r, st) {
			code = http.StatusOK
		}
		if r.Method == http.MethodOptions {
			w.WriteHeader(code)
			return
		}
		writeJSON(w, code, healthOf(st))
	}
}

func (a *api) node(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.cfg.Source.State())
}

// failure is the body of every answer that is an error.
type failure struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
}

func writeError(w http.ResponseWriter, code int, what, hint string) {
	writeJSON(w, code, failure{Error: what, Hint: hint})
}

func writeJSON(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone: nobody is left to tell
}

// clip keeps what a client sent from filling an answer.
func clip(s string) string { return clipTo(s, 100) }

func clipTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// answer remembers the status code, for the metrics.
type answer struct {
	http.ResponseWriter
	code int
}

// WriteHeader notes the code.
func (a *answer) WriteHeader(code int) {
	a.code = code
	a.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach the connection's deadlines.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
