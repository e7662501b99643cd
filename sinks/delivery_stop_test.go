package sinks

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
)

func TestDeliveryStoresCursorSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		d := &Delivery{Store: j, Sink: &collector{}, From: FromBeginning}
		stop := start(d)
		synctest.Wait()
		j.saves = nil // that of Prepare
		for _, e := range samples(1000, 1) {
			j.add(e)
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := j.cursor("collector"); got != j.at(999) {
			t.Errorf("idle with the cursor at %q", got)
		}
		if n := len(j.saves); n < 9 || n > 12 {
			t.Errorf("stored %d times in ten seconds", n)
		}
		for i := 1; i < len(j.saves); i++ {
			if gap := j.saves[i].Sub(j.saves[i-1]); gap < time.Second {
				t.Errorf("stored again after %s", gap)
			}
		}
		j.add(samples(2, 1)...) // within the second: only the end stores it
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if got := j.cursor("collector"); got != j.at(1001) {
			t.Errorf("cursor %q at the end", got)
		}
	})
}

func TestDeliveryWithoutRoomForCursor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j, c := newJournal(), &collector{}
		d := &Delivery{Store: j, Sink: c, From: FromBeginning}
		if err := d.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		full := errors.New("no room")
		j.fail = full
		stop := start(d)
		j.add(samples(3, 1)...)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(c.ids) != 3 {
			t.Errorf("sent %d of 3, each once", len(c.ids))
		}
		if err := stop(); !errors.Is(err, full) {
			t.Errorf("Run returns %v", err)
		}
	})
}

func TestDeliveryDelaysOnlyItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hung := &outlet{"hung", func(ctx context.Context, _ []state.Entry) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}}
		c, log := &collector{}, &ops{}
		j := newJournal(samples(300, 3)...)
		stopHung := start(&Delivery{Store: j, Sink: hung, From: FromBeginning, Log: log.logger()})
		stop := start(&Delivery{Store: j, Sink: c, From: FromBeginning})
		synctest.Wait() // no time passes
		if len(c.ids) != 300 {
			t.Errorf("sent %d of 300 beside a sink that hangs", len(c.ids))
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := stopHung(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("a sink that hangs holds the shutdown for %s", took)
		}
		if got := j.cursor("hung"); got != "" {
			t.Errorf("cursor %q", got)
		}
		if text := log.String(); text != "" {
			t.Errorf("a shutdown is no failure:\n%s", text)
		}
	})
}

func TestDeliveryDrains(t *testing.T) {
	t.Parallel()
	// A sink that takes a second for a batch has time for some of four.
	for drain, batches := range map[time.Duration]int{0: 4, 2500 * time.Millisecond: 2} {
		t.Run(fmt.Sprint(drain), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := &collector{}
				slow := &outlet{"slow", func(ctx context.Context, batch []state.Entry) (int, error) {
					select {
					case <-time.After(time.Second):
						return c.Send(ctx, batch)
					case <-ctx.Done():
						return 0, ctx.Err()
					}
				}}
				j := newJournal(samples(1000, 3)...)
				stop := start(&Delivery{Store: j, Sink: slow, From: FromBeginning, Drain: drain})
				synctest.Wait()
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				want := min(1000, 256*batches)
				if len(c.ids) != want || j.cursor("slow") != j.at(want-1) {
					t.Errorf("sent %d with the cursor at %q, want %d", len(c.ids), j.cursor("slow"), want)
				}
			})
		})
	}
	// In the grace even a misconfigured sink is asked again soon.
	synctest.Test(t, func(t *testing.T) {
		c := &collector{}
		stopping, left := false, 5
		o := &outlet{"outlet", func(ctx context.Context, batch []state.Entry) (int, error) {
			if stopping {
				left--
			}
			if left > 0 {
				return 0, fmt.Errorf("%w: closed for today", ErrMisconfigured)
			}
			return c.Send(ctx, batch)
		}}
		d := &Delivery{Store: newJournal(samples(3, 1)...), Sink: o, From: FromBeginning, Backoff: Backoff{Min: 100 * time.Millisecond, Max: 1000 * time.Hour}}
		stop := start(d)
		synctest.Wait()
		stopping = true
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if len(c.ids) != 3 {
			t.Errorf("sent %d of 3", len(c.ids))
		}
	})
	// The shutdown ends a long pause, and the grace is for another attempt.
	synctest.Test(t, func(t *testing.T) {
		c := &collector{}
		broken := true
		o := &outlet{"outlet", func(ctx context.Context, batch []state.Entry) (int, error) {
			if broken {
				return 0, errors.New("broken")
			}
			return c.Send(ctx, batch)
		}}
		d := &Delivery{Store: newJournal(samples(3, 1)...), Sink: o, From: FromBeginning, Backoff: Backoff{Min: time.Hour, Max: time.Hour}}
		stop := start(d)
		synctest.Wait()
		broken = false
		began := time.Now()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if len(c.ids) != 3 || time.Since(began) != 0 {
			t.Errorf("sent %d of 3 after %s", len(c.ids), time.Since(began))
		}
	})
}
