package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules"
)

// heartbeat says that the agent is alive when its time has come. One that
// cannot be stored is not made up for: the next is due after a period.
func (o *Overseer) heartbeat(ctx context.Context, fleet []rules.FleetEndpoint, mono, wall time.Time) error {
	period := time.Duration(o.beat.Load())
	// A tick comes some milliseconds early or late: half a tick is on time.
	if period == 0 || mono.Sub(o.beaten) < period-o.every()/2 {
		return nil
	}
	o.beaten = mono
	d := event.AgentHeartbeatDetails{
		UptimeS: int64(mono.Sub(o.started) / time.Second), PeriodS: int64(period / time.Second),
		Endpoints: counted(fleet, wall), LagMS: o.Lag().Milliseconds(), StateBytes: o.StateSize(),
	}
	d.Polls, d.Failed = o.Polls()
	for _, s := range o.Sinks(ctx) {
		h := event.HeartbeatSink{Name: s.Name, Connected: s.Connected, Pending: s.Pending}
		if s.Pending > 0 {
			h.OldestS = max(0, int64(wall.Sub(s.Oldest)/time.Second))
		}
		d.Sinks = append(d.Sinks, h)
	}
	heads, err := o.Heads(ctx)
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	h := sha256.New()
	for _, head := range heads {
		fmt.Fprintf(h, "%s %d %s\n", head.Stream, head.Sequence, head.Hash)
	}
	d.Heads, d.HeadsTotal = heads[:min(len(heads), maxListed)], len(heads)
	d.HeadsDigest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	return o.Voice.say(ctx, wall, func(m *memory) ([]word, bool) {
		d.Degraded = nil
		for _, c := range m.Conditions {
			d.Degraded = append(d.Degraded, c.Code)
		}
		e := d.Endpoints
		return []word{{
			typ: event.AgentHeartbeat, severity: event.SeverityInformational, verdict: event.Informational, always: true,
			message: fmt.Sprintf("watching %s: %d good, %d failing, %d never seen; the next word comes in %s",
				plural(e.Total, "endpoint"), e.Good, e.Failing, e.Unseen, lasting(period)),
			details: d,
		}}, true
	})
}

func counted(fleet []rules.FleetEndpoint, now time.Time) event.HeartbeatFleet {
	f := event.HeartbeatFleet{Total: len(fleet)}
	for _, e := range fleet {
		since := e.LastGood
		switch {
		case since.IsZero():
			f.Unseen++
		case e.Failures > 0:
			f.Failing++
		default:
			f.Good++
		}
		if since.IsZero() {
			since = e.Watched
		}
		if now.Sub(since) > rules.GapLimit(e.Tier, e.Interval) {
			f.Blind++
		}
	}
	return f
}
