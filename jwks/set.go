package jwks

// Shape says what a body is. Only ShapeJWKS can make a key removed.
type Shape string

// The shapes.
const (
	ShapeJWKS         Shape = "jwks"           // {"keys":[…]}
	ShapeEmpty        Shape = "empty"          // no octets, or white space
	ShapeBOM          Shape = "bom"            // starts with a byte order mark
	ShapeEncoding     Shape = "encoding"       // not UTF-8 text: UTF-16, UTF-32, gzip
	ShapeHTML         Shape = "html"           // starts with <
	ShapeNotJSON      Shape = "not_json"       // a syntax error
	ShapeTruncated    Shape = "truncated"      // JSON that ends too soon
	ShapeTrailing     Shape = "trailing"       // more after the JSON value
	ShapeTooDeep      Shape = "too_deep"       // nested deeper than MaxDepth
	ShapeTooMany      Shape = "too_many_keys"  // more entries than MaxKeys
	ShapeNull         Shape = "null"           // top level null
	ShapeBoolean      Shape = "boolean"        //
	ShapeNumber       Shape = "number"         //
	ShapeString       Shape = "string"         //
	ShapeArray        Shape = "array"          //
	ShapeNoKeys       Shape = "no_keys"        // an object without keys
	ShapeKeysCase     Shape = "keys_case"      // no keys, but Keys or KEYS
	ShapeKeysNull     Shape = "keys_null"      //
	ShapeKeysType     Shape = "keys_not_array" //
	ShapeRepeatedKeys Shape = "repeated_keys"  // the keys member stands twice: set.ambiguous, not document.invalid
)

// Set is one document as parsed. When Shape is not ShapeJWKS there are no Keys
// and no digest: nothing is guessed at.
type Set struct {
	Shape  Shape
	Reason string // for people, when Shape is not ShapeJWKS; never quotes a value
	Offset int64  // octets into the body at which the shape was broken

	Keys []Key // in the order served
	// Defects are those of the document, sorted by code and pointer. Other
	// shapes of whole JSON have them too: a bare private key is one.
	Defects []Defect
	// Sequence is the top-level spiffe_sequence, "monotonically increasing" in the
	// words of SPIFFE's trust domain and bundle, 4.1.1; HasSequence tells 0 from
	// none. What is no integer, or stands twice, is none. It is no part of the digest.
	Sequence    uint64
	HasSequence bool
	// Digest identifies the set whatever its bytes; zero unless Shape is
	// ShapeJWKS.
	Digest [32]byte
	// Body is the document with every secret value replaced. It is the body
	// itself, not a copy, when there was none. Nil unless the body is JSON.
	Body []byte
	// HeldSecret reports that something was redacted, here or before: the mark
	// counts as the secret it stands for. Of a body that is not JSON it reports
	// that one may be in it. A hash of the served body must then not leave the
	// process.
	HeldSecret bool
}

// Usable reports whether the set may be compared with others.
func (s *Set) Usable() bool { return s != nil && s.Shape == ShapeJWKS }
