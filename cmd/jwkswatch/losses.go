package main

import (
	"context"
	"time"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/sinks"
)

// lost lets the agent tell of events that were lost to a sink.
func lost(voice *agent.Voice) func(context.Context, sinks.Report) error {
	return func(ctx context.Context, r sinks.Report) error {
		return voice.EventsLost(ctx, time.Now(), event.AgentEventsLostDetails{
			Sink: r.Sink, Cause: r.Cause, Count: r.Count, Resent: r.Resent,
			Since: event.AtOrNil(r.Since), Until: event.AtOrNil(r.Until), First: event.TextOrNil(r.First), Last: event.TextOrNil(r.Last),
		})
	}
}
