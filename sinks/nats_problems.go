package sinks

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jwkswatch/jwkswatch/event"
)

// problems judges the settings of a stream by what the sink promises: that an
// event which is acknowledged is there, once, for who reads it in its time.
func problems(c jetstream.StreamConfig, prefix string) error {
	var errs []error
	add := func(found bool, format string, args ...any) {
		if found {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	for s := event.SeverityInformational; s <= event.SeverityCritical; s++ {
		subject := prefix + "." + s.String() + ".*.*.*"
		add(!slices.ContainsFunc(c.Subjects, func(p string) bool { return covers(p, subject) }), "it does not take %s", subject)
	}
	add(c.Mirror != nil, "it is a mirror: nobody can publish to it")
	add(c.Sealed, "it is sealed: it takes nothing any more")
	add(c.NoAck, "it gives no acknowledgements (no_ack): nothing counts as delivered, and all is sent again for ever")
	add(c.Storage != jetstream.FileStorage, "it is in memory: a restart of the broker loses events")
	add(c.PersistMode == jetstream.AsyncPersistMode, "it acknowledges before it writes (persist mode async): a crash of the broker loses events")
	add(c.Retention != jetstream.LimitsPolicy, "its retention is not limits: events vanish with their consumers")
	add(c.Duplicates < minDuplicateWindow, "its duplicate window is %s: events may be stored twice after a failure; want %s or more", c.Duplicates, minDuplicateWindow)
	add(c.MaxMsgSize > 0 && c.MaxMsgSize < event.MaxBytes+1024, "its max_msg_size is below that of an event with headers, %d octets: larger events are parked", event.MaxBytes+1024)
	add(c.MaxAge > 0 && c.MaxAge < minAge, "its max_age is %s: a reader that is down for longer misses events; want %s or more", c.MaxAge, minAge)
	add(c.AllowRollup, "it takes roll-ups (allow_rollup_hdrs): one message of any publisher can erase the others")
	limits(c, add)
	return errors.Join(errs...)
}

// limits judges what happens when the stream is full.
func limits(c jetstream.StreamConfig, add func(bool, string, ...any)) {
	does := "the oldest events vanish before they are read (discard: old)"
	if c.Discard == jetstream.DiscardNew {
		does = "new events are refused and wait here until somebody makes room (discard: new)"
	}
	add(c.MaxMsgs > 0 && c.MaxMsgs < minCount, "its max_msgs is %d: when it is full, %s; want %d or more", c.MaxMsgs, does, minCount)
	add(c.MaxBytes > 0 && c.MaxBytes < minBytes, "its max_bytes is %d: when it is full, %s; want %d or more", c.MaxBytes, does, minBytes)
	add(c.MaxMsgsPerSubject > 0, "its max_msgs_per_subject is %d: a burst of one endpoint pushes its own events out", c.MaxMsgsPerSubject)
}
