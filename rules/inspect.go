package rules

import (
	"encoding/hex"
	"slices"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// Inspect returns the flaws of one document by the book, in the book's order.
func Inspect(book []Rule, s *jwks.Set) []Flaw {
	var out []Flaw
	for i := range book {
		if book[i].Inspect == nil {
			continue
		}
		for _, f := range book[i].Inspect(s) {
			f.Rule = &book[i]
			if f.Severity == 0 {
				f.Severity = book[i].Severity
			}
			out = append(out, f)
		}
	}
	return out
}

// private finds key material that must not be public. The finding names
// members and never their values.
func private(s *jwks.Set) []Flaw {
	var out []Flaw
	seen := map[jwks.Identity]bool{}
	for i := range s.Keys {
		k := &s.Keys[i]
		pem := has(k.Defects, jwks.PrivateText)
		if len(k.Private) == 0 && !pem || seen[k.ID] {
			continue
		}
		seen[k.ID] = true
		what := "the private half of a key is published"
		if k.ID.Kind == jwks.Secret {
			what = "a symmetric key is published"
		}
		if has(k.Defects, jwks.PrivateProven) {
			what += ", and proven to be that"
		}
		out = append(out, Flaw{
			ID: history.FlawID(string(event.KeyPrivate), k.ID.String()), Key: k, What: what,
			Details: &event.KeyPrivateDetails{
				Members:  orEmpty(k.Private),
				Pointers: pointers(k.Defects, jwks.PrivateMember, jwks.SymmetricKey, jwks.PrivateText),
			},
		})
	}
	if has(s.Defects, jwks.StrayPrivate) {
		out = append(out, Flaw{
			ID:      history.FlawID(string(event.KeyPrivate), "stray"),
			What:    "private key material is published outside the keys array",
			Details: &event.KeyPrivateDetails{Members: []string{}, Pointers: pointers(s.Defects, jwks.StrayPrivate)},
		})
	}
	return out
}

// labelDefects leave a key readable while a label of it is not.
var labelDefects = [...]jwks.Code{
	jwks.NotString, jwks.BadKeyOps, jwks.BadCertificate, jwks.TextTooLong,
}

// unparseable finds entries that a verifier cannot use as they stand.
func unparseable(s *jwks.Set) []Flaw {
	var out []Flaw
	seen := map[jwks.Identity]bool{}
	for i := range s.Keys {
		k := &s.Keys[i]
		if seen[k.ID] || k.ID.Kind == jwks.Secret {
			continue
		}
		f := Flaw{Key: k, What: "an entry of the set cannot be read"}
		var codes []jwks.Code
		switch {
		case !k.Decoded():
			for _, d := range k.Defects {
				codes = append(codes, d.Code)
			}
		case has(k.Defects, jwks.UnknownAKP):
			codes = []jwks.Code{jwks.UnknownAKP}
			f.Severity, f.What = event.SeverityInformational, "a key of an algorithm that this version does not know"
		default:
			for _, c := range labelDefects {
				if has(k.Defects, c) {
					codes = append(codes, c)
				}
			}
			f.Severity, f.What = event.SeverityLow, "a label of a key cannot be read"
		}
		if len(codes) == 0 {
			continue
		}
		seen[k.ID] = true
		names := codeNames(codes)
		f.ID = history.FlawID(append([]string{string(event.KeyUnparseable), k.ID.String()}, names...)...)
		details := &event.KeyUnparseableDetails{Codes: names, Pointers: pointers(k.Defects, codes...)}
		if k.ID.Kind == jwks.Opaque {
			details.RawDigest = new("sha256:" + hex.EncodeToString(k.ID.Sum[:]))
		}
		f.Details = details
		out = append(out, f)
	}
	return out
}

// repeatedMember finds JSON objects that readers are known to understand
// differently: some take the first of two equal names, some the last, some
// refuse (CWE-436).
func repeatedMember(s *jwks.Set) []Flaw {
	if s.Shape == jwks.ShapeRepeatedKeys {
		f := ambiguity(jwks.RepeatedMember, "", []string{"/keys"}, 0, "the keys member stands twice: readers see different sets")
		// Of its own: a harmless repetition in some entry must not cover it.
		f.ID = history.FlawID(string(event.SetAmbiguous), string(jwks.ShapeRepeatedKeys))
		return []Flaw{f}
	}
	return unclear(s, jwks.RepeatedMember, "a JSON member stands twice in one object: readers see different keys")
}

func caseVariant(s *jwks.Set) []Flaw {
	return unclear(s, jwks.CaseVariant, "member names differ in case only: readers see different keys")
}

func invalidUTF8(s *jwks.Set) []Flaw {
	return unclear(s, jwks.InvalidUTF8, "text is not well-formed UTF-8: readers see different labels")
}

func missingKid(s *jwks.Set) []Flaw {
	return unclear(s, jwks.MissingKid, "a key without a kid stands among several: verifiers have to guess")
}

// unclear makes one flaw of all places with the code: which of them there are
// may vary from answer to answer without being news.
func unclear(s *jwks.Set, code jwks.Code, what string) []Flaw {
	at := pointers(s.Defects, code)
	n := 0
	for i := range s.Keys {
		if has(s.Keys[i].Defects, code) {
			n++
			at = append(at, pointers(s.Keys[i].Defects, code)...)
		}
	}
	if len(at) == 0 && !has(s.Defects, code) && n == 0 {
		return nil
	}
	return []Flaw{ambiguity(code, "", at, n, what)}
}

// repeatedKid finds labels that several keys bear. Each kid is a condition of
// its own, so that a benign repetition cannot hide the next one.
func repeatedKid(s *jwks.Set) []Flaw {
	var out []Flaw
	under := map[string][]*jwks.Key{}
	for i := range s.Keys {
		under[s.Keys[i].Kid] = append(under[s.Keys[i].Kid], &s.Keys[i])
	}
	for _, d := range s.Defects {
		keys := under[d.Kid]
		switch d.Code {
		case jwks.RepeatedKid:
			f := ambiguity(d.Code, d.Kid, []string{d.Pointer}, len(keys), "one kid names several keys: verifiers take one of them")
			if sameClass(keys) {
				f.ByChange = event.SeverityHigh
			}
			out = append(out, f)
		case jwks.RepeatedKidLabels:
			out = append(out, ambiguity(d.Code, d.Kid, []string{d.Pointer}, len(keys),
				"one key stands several times under one kid with different purposes"))
		}
	}
	return out
}

func ambiguity(code jwks.Code, kid string, at []string, n int, what string) Flaw {
	details := &event.SetAmbiguousDetails{Code: string(code), Keys: n, Pointers: capped(text(at))}
	if kid != "" {
		details.Kid = new(event.Text(kid))
	}
	return Flaw{
		ID: history.FlawID(string(event.SetAmbiguous), string(code), kid), Kid: kid, What: what, Details: details,
	}
}

// sameClass reports whether two identities among the keys serve one class.
func sameClass(keys []*jwks.Key) bool {
	by := map[jwks.Class]jwks.Identity{}
	for _, k := range keys {
		c := k.Class()
		if id, ok := by[c]; ok && id != k.ID {
			return true
		}
		by[c] = k.ID
	}
	return false
}

// invalid finds answers that are no JWK Set. Nothing in them is guessed at.
func invalid(s *jwks.Set) []Flaw {
	if s.Shape == jwks.ShapeJWKS || s.Shape == jwks.ShapeRepeatedKeys {
		return nil
	}
	return []Flaw{{
		// One condition whatever the shape: an error page that becomes a 200 with
		// null is the same trouble going on.
		ID:      history.FlawID(string(event.DocumentInvalid)),
		What:    "the answer is no JWK Set (" + string(s.Shape) + ")",
		Details: &event.DocumentInvalidDetails{Shape: string(s.Shape), Reason: event.Text(s.Reason), Offset: s.Offset},
	}}
}

func has(defects []jwks.Defect, code jwks.Code) bool {
	return slices.ContainsFunc(defects, func(d jwks.Defect) bool { return d.Code == code })
}

// pointers lists where the codes stand, at most MaxPointers of them.
func pointers(defects []jwks.Defect, codes ...jwks.Code) []string {
	out := []string{}
	for _, d := range defects {
		if slices.Contains(codes, d.Code) && d.Pointer != "" {
			out = append(out, event.Text(d.Pointer))
		}
	}
	slices.Sort(out)
	return capped(slices.Compact(out))
}

// maxPointers caps the lists of places in details.
const maxPointers = 16

func capped(list []string) []string { return list[:min(len(list), maxPointers)] }

func codeNames(codes []jwks.Code) []string {
	out := []string{}
	for _, c := range codes {
		out = append(out, string(c))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
