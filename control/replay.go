package control

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// ReplayResult says what a sink is sent again.
type ReplayResult struct {
	Sink string `json:"sink"`
	// Moved is false when the sink had not got beyond the time yet.
	Moved bool `json:"moved"`
	// Events is how many wait for the sink now, those that it never had included.
	Events uint64      `json:"events"`
	Oldest *event.Time `json:"oldest"` // of the first of them; null when there is none
}

func (d *desk) replay(w http.ResponseWriter, r *http.Request) {
	if !takes(w, r, "sink", "since") || unsupported(w, d.Replay == nil) {
		return
	}
	q := r.URL.Query()
	since, err := moment(q.Get("since"))
	if err == nil && since.IsZero() {
		err = bad("since is missing")
	}
	if err != nil {
		refuseErr(w, err)
		return
	}
	v, err := d.Replay(r.Context(), q.Get("sink"), since)
	reply(w, v, err)
}

// Replay asks the daemon to send a sink again what was observed since a time.
// Errors: *query.Problem for a sink that is not known.
func (c *Client) Replay(ctx context.Context, sink string, since time.Time) (ReplayResult, error) {
	return ask[ReplayResult](ctx, c, http.MethodPost, "replay", url.Values{"sink": {sink}, "since": {instant(since)}})
}
