package main

import (
	"bytes"
	"context"
	"io"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jwkswatch/jwkswatch/event"
)

// natsBinary builds the nats-server of the module graph once.
var natsBinary = sync.OnceValues(func() (string, error) {
	return build("nats-server", "github.com/nats-io/nats-server/v2")
})

// mortal is a nats-server process that is killed and started again on the same
// port, over the same files.
type mortal struct {
	broker
	t    *testing.T
	dir  string
	port string
	cmd  *exec.Cmd

	read     uint64 // the stream, up to here
	events   []*event.Event
	octets   map[string][]byte // by id
	repeated int
}

func startMortal(t *testing.T) *mortal {
	t.Helper()
	m := &mortal{t: t, dir: t.TempDir(), octets: map[string][]byte{}, port: freePort(t)}
	m.url = "nats://127.0.0.1:" + m.port
	m.start()
	t.Cleanup(m.kill)
	nc, err := nats.Connect(m.url, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if m.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		_, err := m.js.CreateStream(t.Context(), jetstream.StreamConfig{
			Name: "JWKSWATCH", Subjects: []string{"jwkswatch.v1.>"}, Storage: jetstream.FileStorage, Duplicates: time.Hour,
		})
		if err == nil {
			return m
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func (m *mortal) start() {
	m.t.Helper()
	path, err := natsBinary()
	if err != nil {
		m.t.Fatal(err)
	}
	m.cmd = exec.Command(path, "-a", "127.0.0.1", "-p", m.port, "-js", "-sd", m.dir)
	m.cmd.Stdout, m.cmd.Stderr = io.Discard, io.Discard
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mortal) kill() {
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
}

// follow reads what the stream holds since the last time, without repetitions,
// which a server that was killed may hold.
func (m *mortal) follow() error {
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	s, err := m.js.Stream(ctx, "JWKSWATCH")
	if err != nil {
		return err
	}
	info, err := s.Info(ctx)
	if err != nil {
		return err
	}
	if info.State.LastSeq < m.read {
		m.t.Fatalf("the server lost what it had: it ends at %d, and had %d", info.State.LastSeq, m.read)
	}
	for ; m.read < info.State.LastSeq; m.read++ {
		msg, err := s.GetMsg(ctx, m.read+1)
		if err != nil {
			return err
		}
		e, err := event.Decode(msg.Data)
		if err != nil {
			return err
		}
		if has, ok := m.octets[e.ID]; ok {
			if m.repeated++; !bytes.Equal(has, msg.Data) {
				m.t.Errorf("id %s stands for two events:\n%s\n%s", e.ID, has, msg.Data)
			}
			continue
		}
		m.octets[e.ID] = msg.Data
		m.events = append(m.events, e)
	}
	return nil
}
