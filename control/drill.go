package control

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// DrillResult says where a drill arrived.
type DrillResult struct {
	ID       string      `json:"id"` // of the event
	Type     string      `json:"type"`
	Endpoint string      `json:"endpoint"`
	StoredMS int64       `json:"stored_ms"` // from the request until it was in the journal
	Sinks    []DrillSink `json:"sinks"`
}

// DrillSink is one sink.
type DrillSink struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Outcome is delivered, parked (the sink refused it for good) or pending (not
	// acknowledged in time).
	Outcome   string  `json:"outcome"`
	LatencyMS *int64  `json:"latency_ms"` // from the journal until it was acknowledged; null unless delivered
	Error     *string `json:"error"`      // of the last attempt
}

// The outcomes of a drill at a sink.
const (
	Delivered = "delivered"
	Parked    = "parked"
	Pending   = "pending"
)

// Failed reports whether a sink did not take it.
func (r *DrillResult) Failed() bool {
	for _, s := range r.Sinks {
		if s.Outcome != Delivered {
			return true
		}
	}
	return false
}

func (d *desk) drill(w http.ResponseWriter, r *http.Request) {
	if !takes(w, r, "endpoint", "scenario", "timeout_ms") || unsupported(w, d.Drill == nil) {
		return
	}
	v := r.URL.Query()
	ms, err := number(v.Get("timeout_ms"))
	if err != nil {
		refuseErr(w, err)
		return
	}
	result, err := d.Drill(r.Context(), v.Get("endpoint"), v.Get("scenario"), time.Duration(ms)*time.Millisecond)
	reply(w, result, err)
}

// Drill has the daemon send one marked test event through all of its sinks and
// waits until each has acknowledged it, or the time is over.
func (c *Client) Drill(ctx context.Context, endpoint, scenario string, timeout time.Duration) (DrillResult, error) {
	v := url.Values{"endpoint": {endpoint}, "scenario": {scenario}, "timeout_ms": {strconv.FormatInt(timeout.Milliseconds(), 10)}}
	return ask[DrillResult](ctx, c, http.MethodPost, "drill", v)
}
