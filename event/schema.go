package event

import _ "embed"

//go:embed schema.json
var schema string

// Schema returns the JSON Schema (draft 2020-12) of the encoded event. Members
// it does not know are allowed, so that a consumer with an older copy accepts
// what later versions add.
func Schema() []byte { return []byte(schema) }
