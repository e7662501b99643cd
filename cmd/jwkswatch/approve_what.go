package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/control"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// grants makes of the argument what is asked for.
func grants(cmd *cobra.Command, client *control.Client, what string, g control.Grant) ([]control.Grant, error) {
	ctx := cmd.Context()
	switch {
	case strings.HasPrefix(what, "jw1-"):
		return ofEvent(ctx, client, what, g)
	case configs.IsThumbprint(what):
		g.Thumbprints = []string{what}
	default:
		list, err := ofFile(cmd, what, g)
		if err != nil {
			return nil, err
		}
		for i := range list {
			if list[i].Endpoint, err = where(ctx, client, list[i].Endpoint); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	var err error
	g.Endpoint, err = where(ctx, client, g.Endpoint)
	return []control.Grant{g}, err
}

// where is the endpoint that is meant.
func where(ctx context.Context, client *control.Client, name string) (string, error) {
	if name != "" {
		return name, nil
	}
	rows, err := client.Endpoints(ctx)
	if err != nil {
		return "", unasked(err)
	}
	if len(rows) == 1 {
		return rows[0].Name, nil
	}
	return "", errors.New("--endpoint is missing: say where the key will come or go; jwkswatch endpoints lists them")
}

// ofEvent accepts what an event tells of.
func ofEvent(ctx context.Context, client *control.Client, id string, g control.Grant) ([]control.Grant, error) {
	b, err := client.Event(ctx, id)
	if err != nil {
		return nil, unasked(err)
	}
	var e struct {
		Time time.Time `json:"time"`
		Data struct {
			Event    struct{ Type event.Type } `json:"event"`
			Endpoint *struct{ Name string }    `json:"endpoint"`
			Key      *struct{ Thumbprint *string }
			Keys     []struct{ Thumbprint *string }
			Details  struct {
				Endpoint string
				Keys     []string
			} `json:"details"`
		} `json:"data"`
	}
	d := &e.Data
	if err := json.Unmarshal(b, &e); err != nil {
		var unlike *json.UnmarshalTypeError // details of another shape have no keys
		if !errors.As(err, &unlike) {
			return nil, failed(fmt.Errorf("reading event %s: %w", id, err))
		}
	}
	name := d.Details.Endpoint // of approval.used, which has no endpoint of its own
	if d.Endpoint != nil {
		name = d.Endpoint.Name
	}
	switch {
	case name == "":
		return nil, fmt.Errorf("%s is about the agent itself: there is no change to accept", id)
	case g.Endpoint != "" && g.Endpoint != name:
		return nil, fmt.Errorf("the event is about %s, and not about %s: leave --endpoint out", name, event.Text(g.Endpoint))
	}
	g.Endpoint, g.Event, g.From = name, id, e.Time
	if acceptable(d.Event.Type) {
		keys := slices.Clone(d.Keys)
		if d.Key != nil {
			keys = append(keys, *d.Key)
		}
		for _, k := range keys {
			if k.Thumbprint != nil && !slices.Contains(g.Thumbprints, *k.Thumbprint) {
				g.Thumbprints = append(g.Thumbprints, *k.Thumbprint)
			}
		}
		if d.Event.Type == event.ApprovalUsed {
			g.Thumbprints = d.Details.Keys
		}
	}
	if len(g.Thumbprints) <= 32 {
		return []control.Grant{g}, nil
	}
	var out []control.Grant
	for part := range slices.Chunk(g.Thumbprints, 32) {
		some := g
		some.Thumbprints = part
		out = append(out, some)
	}
	return out, nil
}

// acceptable reports whether the keys of an event of the type are known once
// somebody accepts it. Of the others the word alone is kept.
func acceptable(t event.Type) bool {
	switch t {
	case event.KeyAdded, event.KeyRemoved, event.KeyRelabelled, event.KeyReappeared, event.KeyAltered, event.KeyReencoded, event.KeyCertificateChanged,
		event.SetReplaced, event.BaselineEstablished, event.RotationOffCadence, event.RotationRemovedEarly, event.RotationNoOverlap, event.ApprovalUsed:
		return true
	}
	return false
}

// ofFile announces the keys of a file. Only what a thumbprint is made of is used:
// private material in it goes nowhere.
func ofFile(cmd *cobra.Command, path string, g control.Grant) ([]control.Grant, error) {
	in := cmd.InOrStdin()
	if path != "-" {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(path, "./\\") {
			return nil, fmt.Errorf("%s is no thumbprint (43 characters of base64url), no event id (jw1-…) and no file", event.Text(path))
		}
		if err != nil {
			return nil, &ended{exitBlind, err}
		}
		defer f.Close()
		in = f
	}
	const most = 4 << 20
	b, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil {
		return nil, &ended{exitBlind, fmt.Errorf("reading %s: %w", path, err)}
	}
	set := jwks.Parse(b)
	if !set.Usable() {
		set = jwks.Parse(slices.Concat([]byte(`{"keys":[`), b, []byte(`]}`)))
	}
	if len(b) > most || !set.Usable() || len(set.Keys) == 0 {
		return nil, failed(fmt.Errorf("%s holds neither a JWK nor a key set with keys", path))
	}
	var out []control.Grant
	for i := range set.Keys {
		k := &set.Keys[i]
		if k.ID.Kind != jwks.Thumbprint {
			return nil, failed(fmt.Errorf("%s: key %d has no thumbprint: it is symmetric, or cannot be read", path, i+1))
		}
		if len(k.Private) > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "jwkswatch: %s holds the private half of key %d: it was not used and goes nowhere; announce keys by their public half\n", path, i+1)
		}
		one := g
		one.Thumbprints = []string{k.ID.String()}
		one.Kid, one.Alg, one.Use = cmp.Or(g.Kid, k.Kid), cmp.Or(g.Alg, k.Alg), cmp.Or(g.Use, k.Use)
		out = append(out, one)
	}
	return out, nil
}
