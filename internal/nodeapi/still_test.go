package nodeapi

import (
	"net/http"
	"testing"
)

func TestANodeThatStandsStillAnswersNobodyWhoDecidesByIt(t *testing.T) {
	still := ""
	_, url := serve(t, Config{Token: testToken, Source: primary(), Still: func() string { return still }})
	for _, why := range []string{"", "its loop stands still"} {
		still = why
		for _, path := range []string{"/v1/node", "/primary", "/readiness", "/liveness", "/metrics"} {
			want := http.StatusOK
			if still != "" && path != "/liveness" && path != "/metrics" {
				want = http.StatusServiceUnavailable
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+testToken)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%q: %s answers %d, want %d", still, path, resp.StatusCode, want)
			}
		}
	}
}
