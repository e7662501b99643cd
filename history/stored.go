package history

import "encoding/json"

// The stored form of version 1: JSON with short names. Text of the issuer is kept as base64
// octets, since JSON strings cannot hold all that a kid can; times are
// milliseconds since 1970, 0 for none; an identity is its kind octet and sum.
// Members are added, omitted when they are empty, and never change their meaning.
type (
	memoryV1 struct {
		Version    int           `json:"v"`
		URL        string        `json:"url"`
		Baseline   int64         `json:"base,omitzero"`
		Changed    int64         `json:"chg,omitzero"`
		Live       []keyV1       `json:"live,omitempty"`
		Sightings  []sightingV1  `json:"seen,omitempty"`
		Bindings   []bindingV1   `json:"kids,omitempty"`
		Digests    []digestV1    `json:"digs,omitempty"`
		Flips      []int64       `json:"flips,omitempty"`
		FlipCount  uint64        `json:"nflip,omitzero"`
		Conditions []conditionV1 `json:"cond,omitempty"`
		Pending    *pendingV1    `json:"pend,omitempty"`
		Learned    *learnedV1    `json:"learn,omitempty"`
		Shown      int64         `json:"shown,omitzero"`
		Flood      *floodV1      `json:"flood,omitempty"`
		Stability  *stabilityV1  `json:"stab,omitempty"`
		Habit      *habitV1      `json:"habit,omitempty"`
		Waiting    []waitingV1   `json:"wait,omitempty"`
		Approved   []approvedV1  `json:"appr,omitempty"`
		Windowed   []windowedV1  `json:"wind,omitempty"`
		Rotation   *rotationV1   `json:"rot,omitempty"`
		Sequence   *sequenceV1   `json:"seq,omitempty"`

		Told json.RawMessage `json:"told,omitempty"`
	}
	sequenceV1 struct {
		Highest uint64 `json:"n"`
		At      int64  `json:"at"`
		Since   int64  `json:"low,omitzero"`
	}
	keyV1 struct {
		ID       []byte     `json:"i"`
		Kid      []byte     `json:"k,omitempty"`
		Kty      []byte     `json:"t,omitempty"`
		Crv      []byte     `json:"c,omitempty"`
		Alg      []byte     `json:"a,omitempty"`
		Use      []byte     `json:"u,omitempty"`
		Ops      [][]byte   `json:"o,omitempty"`
		HasOps   bool       `json:"ho,omitempty"`
		Bits     int        `json:"b,omitempty"`
		Cert     []byte     `json:"x,omitempty"`
		Form     []byte     `json:"f,omitempty"`
		Encoding []string   `json:"e,omitempty"`
		Private  []string   `json:"p,omitempty"`
		Defects  []defectV1 `json:"d,omitempty"`
		Index    int        `json:"n,omitempty"`
		Issuer   []byte     `json:"is,omitempty"`
		X5U      []byte     `json:"xu,omitempty"`
		Exp      []byte     `json:"ex,omitempty"`
		Nbf      []byte     `json:"nb,omitempty"`
	}
	defectV1 struct {
		Code    string `json:"c"`
		Pointer []byte `json:"p,omitempty"`
		Kid     []byte `json:"k,omitempty"`
		Text    string `json:"t,omitempty"`
	}
	sightingV1 struct {
		FirstAfter int64     `json:"fa,omitzero"`
		FirstSeen  int64     `json:"fs"`
		LastSeen   int64     `json:"ls,omitzero"`
		GoneBy     int64     `json:"gb,omitzero"`
		Published  int64     `json:"pub,omitzero"`
		Key        keyV1     `json:"key"`
		Health     *healthV1 `json:"h,omitempty"`
		Untold     bool      `json:"ut,omitempty"`
	}
	bindingV1 struct {
		Kid  []byte   `json:"k"`
		IDs  [][]byte `json:"i"`
		Gone int64    `json:"g,omitzero"`
	}
	digestV1 struct {
		Sum     []byte     `json:"s"`
		At      int64      `json:"at"`
		Keys    int        `json:"n"`
		Verdict *verdictV1 `json:"v,omitempty"`
	}
	conditionV1 struct {
		ID       string   `json:"id"`
		Type     string   `json:"t"`
		Flaws    [][]byte `json:"f"`
		OpenedAt int64    `json:"at"`
		OpenedBy string   `json:"by"`
		Severity uint8    `json:"sev"`
		Key      *keyV1   `json:"key,omitempty"`
		Details  []byte   `json:"det,omitempty"`
		Rule     string   `json:"rule,omitempty"`
		Untold   bool     `json:"untold,omitempty"`
	}
	pendingV1 struct {
		At       int64      `json:"at"`
		After    int64      `json:"after,omitzero"`
		Body     []byte     `json:"body,omitempty"`
		Shape    string     `json:"shape"`
		Reason   string     `json:"why,omitempty"`
		Offset   int64      `json:"off,omitzero"`
		Looks    int        `json:"looks"`
		Told     bool       `json:"told,omitempty"`
		Old      []keyV1    `json:"old,omitempty"`
		Replaced [][]byte   `json:"repl,omitempty"`
		Remote   string     `json:"from,omitempty"`
		Facts    []byte     `json:"facts,omitempty"`
		Aside    *pendingV1 `json:"aside,omitempty"`
		Keys     []keyV1    `json:"keys,omitempty"`
		Defects  []defectV1 `json:"defs,omitempty"`
		Digest   []byte     `json:"dig,omitempty"`
	}
	learnedV1 struct {
		URIs           []valueV1 `json:"uris,omitempty"`
		SPKIs          []valueV1 `json:"spkis,omitempty"`
		Issuers        []valueV1 `json:"iss,omitempty"`
		LeafSPKI       []byte    `json:"ls,omitempty"`
		LeafIssuer     []byte    `json:"li,omitempty"`
		LeafNotBefore  int64     `json:"lb,omitzero"`
		LeafNotAfter   int64     `json:"la,omitzero"`
		Discovered     bool      `json:"disc,omitempty"`
		Algs           [][]byte  `json:"algs,omitempty"`
		SignedMetadata bool      `json:"sm,omitempty"`
		PKCE           bool      `json:"pkce,omitempty"`
		Weak           []valueV1 `json:"weak,omitempty"`
		Places         []valueV1 `json:"places,omitempty"`
		Others         []valueV1 `json:"others,omitempty"`
	}
	valueV1 struct {
		Text  []byte `json:"t"`
		First int64  `json:"f,omitzero"`
		Last  int64  `json:"l,omitzero"`
		Count uint64 `json:"n,omitzero"`
	}
)
