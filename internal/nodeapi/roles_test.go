package nodeapi

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// asks is a Roles made of a function.
type asks func(ctx context.Context, body []byte) ([]byte, error)

func (a asks) Role(ctx context.Context, body []byte) ([]byte, error) { return a(ctx, body) }

// listening is a Steerer that hears of keepalived too.
type listening struct {
	steer
	got node.VRRPEvent
	err error
}

func (l *listening) VRRP(_ context.Context, e node.VRRPEvent) (string, error) {
	l.got = e
	return "noted: " + e.State, l.err
}

const testToken = "0123456789abcdef"

func TestAPeersRequestReachesRolesAndItsReplyComesBack(t *testing.T) {
	t.Parallel()
	var got atomic.Value
	_, url := serve(t, Config{Token: testToken, Roles: asks(func(_ context.Context, body []byte) ([]byte, error) {
		got.Store(string(body))
		return []byte(`{"done":true,"why":"armed"}`), nil
	})})
	address := strings.TrimPrefix(url, "http://")
	reply, err := newPeer(t, address, testToken).Role(within(t, 20*time.Second), []byte(`{"ask":"arm"}`))
	if err != nil || strings.TrimSpace(string(reply)) != `{"done":true,"why":"armed"}` || got.Load() != `{"ask":"arm"}` {
		t.Errorf("%s %v %v", reply, err, got.Load())
	}
	if _, err := newPeer(t, address, "wrong").Role(within(t, 20*time.Second), []byte(`{}`)); err == nil || errors.Is(err, ErrSilent) || !strings.Contains(err.Error(), "another token") {
		t.Errorf("%v", err)
	}
}

func TestRequestsAboutRolesThatReachNobody(t *testing.T) {
	t.Parallel()
	refuse := asks(func(_ context.Context, body []byte) ([]byte, error) {
		switch string(body) {
		case `"panic"`:
			panic("on purpose")
		case `"no"`:
			return nil, errors.New("the record cannot be written; nothing was done\nhint: free some room")
		}
		t.Errorf("%s arrived", body)
		return nil, nil
	})
	_, with := serve(t, Config{Token: testToken, Roles: refuse})
	_, without := serve(t, Config{Token: testToken})
	for _, c := range []struct {
		name, url, token, body string
		code                   int
		says                   string
	}{
		{"no peers are configured", without, testToken, `{}`, 404, "PGBATON_PEERS"},
		{"no token", with, "", `{}`, 401, "token"},
		{"a wrong token", with, testToken + "0", `{}`, 401, "token"},
		{"no JSON", with, testToken, `arm`, 400, "no JSON"},
		{"nothing", with, testToken, ``, 400, "no JSON"},
		{"two of them", with, testToken, `{}{}`, 400, "no JSON"},
		{"too much", with, testToken, `"` + strings.Repeat("x", maxBody) + `"`, 413, "too large"},
		{"an error", with, testToken, `"no"`, 409, `"hint":"free some room"`},
		{"a panic", with, testToken, `"panic"`, 500, "made a mistake"},
	} {
		resp, body := get(t, http.DefaultClient, "POST", c.url+"/v1/role", strings.NewReader(c.body), "Authorization", "Bearer "+c.token)
		if resp.StatusCode != c.code || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s", c.name, resp.StatusCode, body)
		}
	}
}

func TestAPeerWaitsNoLongerThanASecondForAReply(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s, url := serve(t, Config{Token: testToken, Roles: asks(func(context.Context, []byte) ([]byte, error) {
		<-release
		return []byte(`{}`), nil
	})})
	defer close(release)
	begun := time.Now()
	_, err := newPeer(t, strings.TrimPrefix(url, "http://"), testToken).Role(within(t, 20*time.Second), []byte(`{}`))
	var r *Refusal
	if !errors.As(err, &r) || r.Status != 503 || !strings.Contains(r.Why, "may still be carried out") {
		t.Errorf("%v", err)
	}
	if took := time.Since(begun); took < roleTime || took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	s.asked.Store(maxAsked)
	_, err = newPeer(t, strings.TrimPrefix(url, "http://"), testToken).Role(within(t, 20*time.Second), []byte(`{}`))
	if !errors.As(err, &r) || !strings.Contains(r.Why, "wait already") {
		t.Errorf("%v", err)
	}
}

func TestAnEventOfKeepalivedGetsItsVerdict(t *testing.T) {
	t.Parallel()
	l := &listening{}
	s, url := serve(t, Config{Token: testToken, Steerer: l})
	want := node.VRRPEvent{
		Source: "hook", Type: "INSTANCE", Name: "pg", State: "MASTER", Priority: 254,
		Time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), VIP: true,
	}
	c := NewClient(s.cfg.Socket)
	verdict, err := c.VRRP(within(t, 20*time.Second), want)
	if err != nil || verdict != "noted: MASTER" || l.got != want {
		t.Errorf("%q %v %+v", verdict, err, l.got)
	}
	look := node.VRRPEvent{Source: node.SourceCheck, Type: "INSTANCE", Name: "pg", Uptime: time.Hour, VIP: true}
	if _, err := c.VRRP(within(t, 20*time.Second), look); err != nil || l.got != look {
		t.Errorf("the check's look is heard as %+v, %v", l.got, err)
	}
	l.err = errors.New("another instance; nothing was done\nhint: look")
	var r *Refusal
	if _, err := c.VRRP(within(t, 20*time.Second), want); !errors.As(err, &r) || r.Status != 409 || r.Hint != "look" {
		t.Errorf("%v", err)
	}
	resp, body := get(t, http.DefaultClient, "POST", url+"/v1/vrrp", strings.NewReader(`{}`), "Authorization", "Bearer "+testToken)
	if resp.StatusCode != 404 {
		t.Errorf("over TCP: %d %s", resp.StatusCode, body)
	}
	without, _ := serve(t, Config{})
	if _, err := NewClient(without.cfg.Socket).VRRP(within(t, 20*time.Second), want); !errors.As(err, &r) || r.Status != 404 {
		t.Errorf("without peers: %v", err)
	}
}

func TestEventsOfKeepalivedThatCannotBeMeant(t *testing.T) {
	for in, why := range map[string]string{
		``: "empty", `{`: "unexpected EOF", `{"type":"INSTANCE"}`: "state is missing", `{"source":"hook","type":"INSTANCE"}`: "state is missing", `{"source":"check"}`: "type or state", `{"state":"MASTER"}`: "type or state",
		`{"type":"INSTANCE","state":"MASTER","priority":256}`: "not from 0 to 255", `{"type":"INSTANCE","state":"MASTER","prio":1}`: "unknown field",
		`{"type":"INSTANCE","state":"MASTER"}{}`: "something follows", `{"type":"INSTANCE","state":"` + strings.Repeat("x", 200) + `"}`: "200 bytes",
		`{"type":"INSTANCE","state":"MASTER","time":"now"}`: "nothing was done",
	} {
		if _, err := decodeEvent(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60s: %v", in, err)
		}
	}
}

func TestOthersMayNeitherAskForRolesNorTellOfKeepalived(t *testing.T) {
	s := newServer(Config{Source: primary(), Steerer: &listening{}, Roles: asks(func(context.Context, []byte) ([]byte, error) {
		t.Error("a request arrived")
		return nil, nil
	}), Log: quiet()})
	t.Cleanup(s.cancel)
	for _, path := range []string{"/v1/role", "/v1/vrrp"} {
		w := askAs(s.handler(local), path, os.Geteuid()+4711)
		if w.Code != 403 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// FuzzEvent: whatever comes in, an event that is accepted is within its bounds,
// and an error is one line.
func FuzzEvent(f *testing.F) {
	for _, s := range []string{
		`{"source":"hook","type":"INSTANCE","name":"pg","state":"MASTER","priority":254,"time":"2026-11-23T12:00:00Z","vip":true}`,
		`{"type":"GROUP","state":"FAULT"}{}`, `{"type":"INSTANCE","state":"MASTER","priority":-1}`, `null`, `[]`, `{"type":`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := decodeEvent(bytes.NewReader(in))
		switch {
		case err != nil && strings.ContainsAny(err.Error(), "\n\r"):
			t.Errorf("an error of several lines: %q", err)
		case err == nil && (e.Type == "" || e.State == "" && e.Source != node.SourceCheck || e.Priority < 0 || e.Priority > 255 || len(e.Source+e.Type+e.Name+e.State) > 4*maxWord):
			t.Errorf("accepted %+v", e)
		}
	})
}
