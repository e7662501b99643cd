package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/evidence"
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
	d.Heads, d.HeadsChanged = o.told.next(heads)
	d.HeadsTotal, d.HeadsDigest = len(heads), evidence.Digest(heads)
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

// maxNews is how many heads of a heartbeat are given to what changed; the others are
// told in turn, so that who lost a heartbeat knows every stream after a while.
const maxNews = 48

// toldHeads remembers which heads a heartbeat told of.
type toldHeads struct {
	at   map[string]string // hash, by stream, of all streams at the last heartbeat
	turn string            // the stream that was told last in turn
}

// next chooses heads, which are sorted by stream, and counts those that changed.
func (t *toldHeads) next(heads []evidence.Head) (chosen []event.HeartbeatHead, changed int) {
	was := t.at
	t.at = make(map[string]string, len(heads))
	take := map[int]bool{}
	for i, h := range heads {
		t.at[h.Stream] = h.Hash
		if was != nil && was[h.Stream] == h.Hash {
			continue
		}
		if changed++; changed <= maxNews {
			take[i] = true
		}
	}
	from, _ := slices.BinarySearchFunc(heads, t.turn, func(h evidence.Head, s string) int { return strings.Compare(h.Stream, s) })
	for k := range heads {
		if len(take) == maxListed {
			break
		}
		i := (from + 1 + k) % len(heads)
		take[i], t.turn = true, heads[i].Stream
	}
	for i, h := range heads {
		if take[i] {
			chosen = append(chosen, event.HeartbeatHead{Stream: h.Stream, Epoch: h.Epoch, Sequence: h.Sequence, Hash: h.Hash})
		}
	}
	return chosen, changed
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
