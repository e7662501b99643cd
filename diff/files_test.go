package diff_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// recorded is a transition of a real series, with what an independent
// comparison of integers and octets says of it.
type recorded struct {
	Series, From, To string
	KidAdded         []*string           `json:"kid_added"`
	KidRemoved       []*string           `json:"kid_removed"`
	MaterialAdded    int                 `json:"material_added"`
	MaterialRemoved  int                 `json:"material_removed"`
	Mutated          []string            `json:"same_kid_material_changed"`
	Metadata         map[string][]string `json:"same_kid_metadata_changed"`
	Reencoded        []string            `json:"same_material_reencoded"`
	NewKid           []string            `json:"known_material_under_new_kid"`
	OrderOnly        bool                `json:"order_only"`
	Replaced         bool                `json:"full_material_replacement"`
}

// TestRecordedSeries compares every transition of the recorded series with the
// independent oracle.
func TestRecordedSeries(t *testing.T) {
	dir := os.Getenv("JWKSWATCH_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data")
	}
	b, err := os.ReadFile(filepath.Join(dir, "jwks", "expected-diffs.json"))
	if err != nil {
		t.Skipf("recorded series are not here: %v", err)
	}
	var list []recorded
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		t.Run(r.From+" to "+filepath.Base(r.To), func(t *testing.T) {
			before, after := parse(t, dir, r.From), parse(t, dir, r.To)
			d := diff.Compare(before.Keys, after.Keys)
			changes := diff.Classify(d, diff.Alone(before.Keys, after.Keys))
			of := func(kinds ...diff.Kind) (out []diff.Change) {
				for _, c := range changes {
					if slices.Contains(kinds, c.Kind) {
						out = append(out, c)
					}
				}
				return out
			}
			if got := len(d.Added); got != r.MaterialAdded {
				t.Errorf("%d identities added, want %d", got, r.MaterialAdded)
			}
			if got := len(d.Removed); got != r.MaterialRemoved {
				t.Errorf("%d identities removed, want %d", got, r.MaterialRemoved)
			}
			if got := kids(of(diff.Mutated)); !slices.Equal(got, sorted(r.Mutated)) {
				t.Errorf("mutated %q, want %q", got, r.Mutated)
			}
			if got := kids(of(diff.Reencoded)); !slices.Equal(got, sorted(r.Reencoded)) {
				t.Errorf("reencoded %q, want %q", got, r.Reencoded)
			}
			for _, kid := range r.NewKid {
				if !slices.ContainsFunc(of(diff.Relabelled), func(c diff.Change) bool { return slices.Contains(c.Material.Kids(), kid) }) {
					t.Errorf("%q stands for known material and is not told as relabelled", kid)
				}
			}
			for kid, members := range r.Metadata {
				metadata(t, kid, members, of(diff.Altered), of(diff.Recertified))
			}
			if r.OrderOnly && (len(changes) > 0 || before.Digest != after.Digest) {
				t.Errorf("only the order changed, told %q", tell(changes))
			}
			if got := diff.Replaced(d, changes); got != (r.Replaced && len(d.Old) > len(r.Mutated)) {
				t.Errorf("replaced: %v, the oracle says %v", got, r.Replaced)
			}
		})
	}
}

// metadata holds that a change of alg, use or key_ops is altered, one of a
// certificate recertified, and one of any other member nothing at all.
func metadata(t *testing.T, kid string, members []string, altered, recertified []diff.Change) {
	t.Helper()
	under := func(list []diff.Change) *diff.Change {
		for i := range list {
			if slices.Contains(list[i].Material.Kids(), kid) {
				return &list[i]
			}
		}
		return nil
	}
	var fields []string
	if c := under(altered); c != nil {
		for _, f := range c.Fields {
			fields = append(fields, f.Name)
		}
	}
	for _, m := range []string{"alg", "use", "key_ops"} {
		if slices.Contains(members, m) != slices.Contains(fields, m) {
			t.Errorf("%q: %v changed, altered tells %v", kid, members, fields)
		}
	}
	certificate := slices.ContainsFunc(members, func(m string) bool { return m == "x5c" || m == "x5t" || m == "x5t#S256" })
	if certificate != (under(recertified) != nil) {
		t.Errorf("%q: %v changed, recertified: %v", kid, members, under(recertified) != nil)
	}
}

func parse(t *testing.T, dir, file string) *jwks.Set {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "jwks", filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	set := jwks.Parse(b)
	if !set.Usable() {
		t.Fatalf("%s: %s: %s", file, set.Shape, set.Reason)
	}
	return set
}

func kids(list []diff.Change) []string {
	out := []string{}
	for _, c := range list {
		out = append(out, c.Material.Kids()...)
	}
	slices.Sort(out)
	return out
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }
