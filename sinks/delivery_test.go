package sinks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
)

// outlet is a Sink that does what a test says.
type outlet struct {
	name string
	send func(ctx context.Context, batch []state.Entry) (int, error)
}

func (o *outlet) Name() string { return o.name }

func (o *outlet) Send(ctx context.Context, batch []state.Entry) (int, error) {
	return o.send(ctx, batch)
}

// collector is a Sink that takes everything.
type collector struct {
	mu      sync.Mutex
	ids     []string
	largest int // batch
}

func (c *collector) Name() string { return "collector" }

func (c *collector) Send(_ context.Context, batch []state.Entry) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids = append(c.ids, idsOf(batch)...)
	c.largest = max(c.largest, len(batch))
	return len(batch), nil
}

// start runs a Delivery; stop shuts it down and returns what Run says.
func start(d *Delivery) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

func TestDeliveryBegins(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		from   From
		cursor string // "" is none
		before int    // entries in the journal at Prepare
		want   int    // index of the first entry that is sent
	}{
		"now":                      {FromNow, "", 3, 3},
		"by default now":           {"", "", 3, 3},
		"now on an empty journal":  {FromNow, "", 0, 0},
		"at the beginning":         {FromBeginning, "", 3, 0},
		"where it was":             {FromNow, "000000001", 3, 1},
		"where it was, not anew":   {FromBeginning, "000000002", 3, 2},
		"at the end, where it was": {FromBeginning, "000000003", 3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				all := samples(5, 1)
				j := newJournal(all[:test.before]...)
				c := &collector{}
				if test.cursor != "" {
					j.cursors[c.Name()] = test.cursor
				}
				d := &Delivery{Store: j, Sink: c, From: test.from}
				if err := d.Prepare(t.Context()); err != nil {
					t.Fatal(err)
				}
				j.add(all[test.before:]...) // committed between Prepare and Run
				stop := start(d)
				synctest.Wait()
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				if want := idsOf(all[test.want:]); !slices.Equal(c.ids, want) {
					t.Errorf("sent %v, want %v", c.ids, want)
				}
				if got := j.cursor(c.Name()); got != j.at(4) {
					t.Errorf("cursor %q", got)
				}
			})
		})
	}
	if err := (&Delivery{Store: newJournal(), Sink: &collector{}, From: "yesterday"}).Prepare(t.Context()); err == nil {
		t.Error("an unknown beginning is accepted")
	}
}

func TestDeliveryResumes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all := samples(600, 7)
		j := newJournal(all[:400]...)
		c := &collector{}
		for _, upTo := range []int{400, 600} {
			d := &Delivery{Store: j, Sink: c, From: FromBeginning}
			stop := start(d)
			synctest.Wait()
			if st := d.Stats(); !st.CaughtUp || st.Position != j.at(upTo-1) || st.LastSent.IsZero() {
				t.Errorf("statistics %+v", st)
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if upTo == 400 {
				j.add(all[400:]...)
			}
		}
		if !slices.Equal(c.ids, idsOf(all)) {
			t.Errorf("sent %d events, want each once and in order", len(c.ids))
		}
		if c.largest > 256 {
			t.Errorf("a batch of %d", c.largest)
		}
	})
}

func TestDeliveryRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// The fake clock orders no memory: what the sink and the test share
		// needs a lock.
		var mu sync.Mutex
		var times []time.Time
		reason := "broken" // "" when it works
		set := func(text string) {
			mu.Lock()
			defer mu.Unlock()
			reason = text
		}
		c := &collector{}
		o := &outlet{"outlet", func(ctx context.Context, batch []state.Entry) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			times = append(times, time.Now())
			broken := reason != ""
			if broken && batch[0].ID == sample(2, "").ID {
				return 0, errors.New(reason)
			}
			if broken {
				n, _ := c.Send(ctx, batch[:2])
				return n, errors.New(reason)
			}
			return c.Send(ctx, batch)
		}}
		log := &ops{}
		j := newJournal(samples(5, 1)...)
		d := &Delivery{Store: j, Sink: o, From: FromBeginning, Log: log.logger()}
		stop := start(d)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		mu.Lock()
		if gap := times[1].Sub(times[0]); gap > 250*time.Millisecond {
			t.Errorf("first pause %s", gap)
		}
		var longest time.Duration
		for i := 1; i < len(times); i++ {
			longest = max(longest, times[i].Sub(times[i-1]))
		}
		if longest > 30*time.Second+time.Nanosecond || longest < 15*time.Second || len(times) < 60 {
			t.Errorf("%d attempts, longest pause %s", len(times), longest)
		}
		if got := j.cursor("outlet"); got != j.at(1) {
			t.Errorf("cursor %q after two of five", got)
		}
		if st := d.Stats(); st.Sent != 2 || st.Connected || st.CaughtUp || st.LastError != "broken" || int(st.Retries) != len(times) {
			t.Errorf("statistics %+v after %d attempts", st, len(times))
		}
		mu.Unlock()
		if log.count("broken") != 1 {
			t.Errorf("one failure is logged as\n%s", log)
		}
		set("broken otherwise")
		time.Sleep(time.Minute)
		set("")
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if log.count("broken otherwise") != 1 || log.count("delivery works again") != 1 {
			t.Errorf("logged\n%s", log)
		}
		if st := d.Stats(); st.Sent != 5 || st.LastError != "" || !st.Connected || !slices.Equal(c.ids, idsOf(j.entries)) {
			t.Errorf("statistics %+v, sent %v", st, c.ids)
		}
	})
}

// A misconfigured sink is asked seldom from the first failure on.
func TestDeliveryOfMisconfiguredSink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failed := map[string]time.Time{}
		var longest time.Duration
		o := &outlet{"outlet", func(_ context.Context, batch []state.Entry) (int, error) {
			at, again := failed[batch[0].ID]
			if !again {
				failed[batch[0].ID] = time.Now()
				return 0, fmt.Errorf("%w: closed for today", ErrMisconfigured)
			}
			longest = max(longest, time.Since(at))
			return 1, nil
		}}
		d := &Delivery{Store: newJournal(samples(50, 1)...), Sink: o, From: FromBeginning}
		stop := start(d)
		time.Sleep(time.Hour)
		synctest.Wait()
		if st := d.Stats(); st.Sent != 50 || longest < time.Second || longest > 30*time.Second+time.Nanosecond {
			t.Errorf("longest pause %s, statistics %+v", longest, st)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDeliveryParks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &collector{}
		bad := map[string]bool{sample(0, "").ID: true, sample(3, "").ID: true, sample(4, "").ID: true, sample(6, "").ID: true}
		o := &outlet{"outlet", func(ctx context.Context, batch []state.Entry) (int, error) {
			i := slices.IndexFunc(batch, func(e state.Entry) bool { return bad[e.ID] })
			if i < 0 {
				return c.Send(ctx, batch)
			}
			n, _ := c.Send(ctx, batch[:i])
			return n, fmt.Errorf("%w: too ugly", ErrRejected)
		}}
		log := &ops{}
		j := newJournal(samples(7, 1)...)
		d := &Delivery{Store: j, Sink: o, From: FromBeginning, Log: log.logger()}
		stop := start(d)
		synctest.Wait()
		if st := d.Stats(); st.Parked != 4 || st.Sent != 3 || st.Retries != 0 || st.LastError != "" || !st.CaughtUp {
			t.Errorf("statistics %+v", st)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		for id := range bad {
			want := `{"level":"error","sink":"outlet","id":"` + id + `","type":"key.added","endpoint":"ep-0","error":"event rejected: too ugly"`
			if log.count(want) != 1 {
				t.Errorf("%s is not told of once:\n%s", id, log)
			}
		}
		if got := j.cursor("outlet"); got != j.at(6) {
			t.Errorf("cursor %q", got)
		}
	})
}

func TestDeliveryStepsOverDamage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j, c, log := newJournal(samples(3, 1)...), &collector{}, &ops{}
		j.corrupt = j.at(1)
		d := &Delivery{Store: j, Sink: c, From: FromBeginning, Log: log.logger()}
		stop := start(d)
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if want := []string{j.entries[0].ID, j.entries[2].ID}; !slices.Equal(c.ids, want) || d.Stats().Parked != 1 || log.count("damaged") == 0 {
			t.Errorf("sent %v, parked %d\n%s", c.ids, d.Stats().Parked, log)
		}
	})
}

func TestDeliveryOfSinkThatSaysNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		o := &outlet{"outlet", func(context.Context, []state.Entry) (int, error) {
			if calls++; calls > 1000 {
				t.Fatal("asked without a pause")
			}
			return 0, nil
		}}
		d := &Delivery{Store: newJournal(samples(1, 1)...), Sink: o, From: FromBeginning}
		stop := start(d)
		time.Sleep(time.Minute)
		if err := stop(); err != nil || d.Stats().Sent != 0 || calls < 3 {
			t.Errorf("%v after %d calls, %+v", err, calls, d.Stats())
		}
	})
}

func TestDeliveryTellsErrorsCapped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &ops{}
		o := &outlet{"outlet", func(context.Context, []state.Entry) (int, error) {
			return 0, errors.New("hostile \x1b[31m\u202e" + strings.Repeat("x", 10000))
		}}
		d := &Delivery{Store: newJournal(samples(1, 1)...), Sink: o, From: FromBeginning, Log: log.logger()}
		stop := start(d)
		synctest.Wait()
		text := d.Stats().LastError
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if len(text) > 512 || strings.ContainsAny(text, "\x1b\u202e") || !strings.HasPrefix(text, "hostile") || len(log.String()) > 1000 {
			t.Errorf("%q", text)
		}
	})
}
