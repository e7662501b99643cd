package configs

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Approvals says which changes were announced.
type Approvals struct {
	Files []string // paths or patterns, as written
	List  []Approval
}

// Approval is one announced change: a key that may come, or go, at an endpoint.
type Approval struct {
	ID         string // made of what it says: the same text has the same id
	Endpoint   string
	Thumbprint string
	Kid        string // "" pins nothing, as do Alg and Use
	Alg        string
	Use        string
	From       time.Time
	Until      time.Time
	Reason     string
	By         string
}

// maxApproval is the longest time for which a change may be announced.
const maxApproval = 90 * day

func (a *Approvals) fields(d *decoder) []field {
	return []field{
		{key: "files", doc: "Announced changes: paths, or patterns with `*`, `?` and `[…]`. See docs/approvals.md.", example: "[approvals.d/*.yaml]", texts: &texts{
			typ: "list of paths", shape: pathShape,
			add: func(v value, text string) *refusal {
				if r := checkPath(text); r != nil {
					return r
				}
				a.Files = append(a.Files, text)
				d.approvalFiles = append(d.approvalFiles, include{text, v})
				return nil
			},
			show: func() []string { return a.Files },
		}},
	}
}

// approvals reads the files of approvals into c, in the order of their paths.
func (d *decoder) approvals(c *Config) {
	names := map[string]bool{}
	for _, e := range c.Endpoints {
		names[e.Name] = true
	}
	wanted := map[string]include{}
	for _, in := range d.approvalFiles {
		for _, path := range d.matches(in) {
			if _, again := wanted[path]; !again {
				wanted[path] = in
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(wanted)) {
		in := wanted[path]
		src, r := d.load(path, MaxFile)
		if r != nil {
			d.fail(in.at, false, fmt.Sprintf("approvals file %s: %s", excerptOf(d.shown(path, in)), r.what), r.hint)
			continue
		}
		d.source = source{name: d.shown(path, in), dir: filepath.Dir(path), path: path}
		if root := d.document(src); root != nil {
			d.approvalFile(value{node: root}, c, names)
		}
		d.source = d.main
	}
}

func (d *decoder) approvalFile(v value, c *Config, names map[string]bool) {
	var version int64
	d.mapping(v, "an approvals file", []field{
		{key: "version", required: true, hint: "begin the file with version: 1", one: countOf(&version, 1, 1)},
		{key: "approvals", required: true, hint: "approvals: [{ endpoint: …, thumbprint: …, from: …, until: …, reason: …, by: … }]", node: func(v value) {
			if !d.kind(v, yaml.SequenceNode, "approvals") {
				return
			}
			for _, n := range v.node.Content {
				d.approval(value{node: n}, c, names)
			}
		}},
	})
}

func (d *decoder) approval(v value, c *Config, names map[string]bool) {
	before := len(d.errs)
	var a Approval
	b := bookReader{d: d}
	at := d.mapping(v, "an approval", []field{
		{key: "endpoint", required: true, hint: "name the endpoint: a change is announced for one", one: nameOf(&a.Endpoint)},
		{key: "thumbprint", required: true, hint: "jwkswatch lint FILE prints that of a key", one: &binding{typ: "thumbprint", set: func(s string) *refusal {
			if !IsThumbprint(s) {
				return refused("wants 43 characters of base64url", "the RFC 7638 thumbprint with SHA-256; jwkswatch lint prints it")
			}
			a.Thumbprint = s
			return nil
		}}},
		{key: "kid", one: filledOf(&a.Kid)},
		{key: "alg", one: filledOf(&a.Alg)},
		{key: "use", one: choiceOf(&a.Use, []string{"sig", "enc"})},
		{key: "from", required: true, hint: "from: 2026-11-22", one: b.instant(&a.From)},
		{key: "until", required: true, hint: "until: 2026-12-06; at most 90 days after from", one: b.moment(&a.Until)},
		{key: "reason", required: true, hint: "reason: \"CHG-1: planned rotation\"", one: filledOf(&a.Reason)},
		{key: "by", required: true, hint: "by: whoever answers for it", one: filledOf(&a.By)},
	})
	if len(d.errs) > before {
		return
	}
	switch {
	case !names[a.Endpoint]:
		hint := "endpoints are those of the configuration"
		if near := nearest(a.Endpoint, slices.Collect(maps.Keys(names))); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		d.fail(at["endpoint"], false, "no endpoint is named "+a.Endpoint, hint)
	case !a.Until.After(a.From):
		d.fail(at["until"], false, "the approval ends before it begins", "a day lasts until its end, in UTC")
	case a.Until.Sub(a.From) > maxApproval:
		d.fail(at["until"], false, "the approval lasts longer than 90 days", "announce the change again when it is nearer")
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{
		a.Endpoint, a.Thumbprint, a.Kid, a.Alg, a.Use, a.From.Format(time.RFC3339), a.Until.Format(time.RFC3339), a.Reason, a.By,
	}, "\x00")))
	a.ID = "ap-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:8]))
	if slices.ContainsFunc(c.Approvals.List, func(o Approval) bool { return o.ID == a.ID }) {
		d.fail(value{node: v.node}, false, "the approval stands there twice", "keep one of them")
		return
	}
	c.Approvals.List = append(c.Approvals.List, a)
}

// instant reads a day, from its beginning, or a time.
func (b *bookReader) instant(to *time.Time) *binding {
	m := b.moment(to)
	set := m.set
	m.set = func(s string) *refusal {
		if t, err := time.Parse("2006-01-02", s); err == nil {
			*to = t
			return nil
		}
		return set(s)
	}
	return m
}
