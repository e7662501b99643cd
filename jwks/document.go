package jwks

import (
	"cmp"
	"slices"
	"strconv"
)

// judge notes what is wrong between the entries of one set.
func judge(keys []Key, doc *notes) {
	byKid := map[string][]int{}
	var kids []string
	without := -1
	distinct := map[Identity]bool{}
	for i := range keys {
		distinct[keys[i].ID] = true
		kid := keys[i].Kid
		if kid == "" {
			if without < 0 {
				without = i
			}
			continue
		}
		if byKid[kid] == nil {
			kids = append(kids, kid)
		}
		byKid[kid] = append(byKid[kid], i)
	}
	if without >= 0 && len(distinct) > 1 {
		doc.add(Defect{Code: MissingKid, Pointer: entryPointer(keys[without].Index), Text: "a key without kid among several"})
	}
	for _, kid := range kids {
		if at := byKid[kid]; len(at) > 1 {
			repeated(keys, kid, at, doc)
		}
	}
}

// repeated judges the entries that share a kid: at most one defect of each code.
func repeated(keys []Key, kid string, at []int, doc *notes) {
	first := map[Identity]int{} // where an identity stands first
	var other, twin int         // where the first identity ends, where labels first differ
	for _, i := range at {
		k := &keys[i]
		j, known := first[k.ID]
		if !known {
			first[k.ID] = i
			if len(first) == 2 {
				other = i
			}
			continue
		}
		if twin == 0 && !sameLabels(k, &keys[j]) {
			twin = i
		}
	}
	if len(first) > 1 {
		doc.list = append(doc.list, Defect{
			Code: RepeatedKid, Pointer: entryPointer(keys[at[0]].Index), Kid: kid,
			Text: "names " + strconv.Itoa(len(first)) + " keys, another one at " + entryPointer(keys[other].Index),
		})
	}
	if twin > 0 {
		doc.list = append(doc.list, Defect{
			Code: RepeatedKidLabels, Pointer: entryPointer(keys[first[keys[twin].ID]].Index), Kid: kid,
			Text: "the same key with other labels at " + entryPointer(keys[twin].Index),
		})
	}
}

func sameLabels(a, b *Key) bool {
	return a.Alg == b.Alg && a.Use == b.Use && a.HasOps == b.HasOps && slices.Equal(a.Ops, b.Ops)
}

func entryPointer(index int) string { return "/keys/" + strconv.Itoa(index) }

// codes returns the codes of defects, sorted and each once, without those of
// the oracle, which a new version of go-jose may change, and those that bounded
// work may find or not.
func codes(defects []Defect) []Code {
	out := make([]Code, 0, len(defects))
	for _, d := range defects {
		switch d.Code {
		case OracleRefuses, OracleRefusesSet, OracleDiffersSet, PrivateProven, PublicSecret:
		default:
			out = append(out, d.Code)
		}
	}
	slices.SortFunc(out, cmp.Compare)
	return slices.Compact(out)
}
