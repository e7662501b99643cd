package rules_test

import (
	"testing"

	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
)

// BenchmarkJudgeAloneHundredKeys is one change judged by the whole book when both
// sets are parsed already: what the rules themselves cost.
func BenchmarkJudgeAloneHundredKeys(b *testing.B) {
	before, after := jwks.Parse(many(100, 0, "")), jwks.Parse(append(many(100, 0, "")[:len(many(100, 0, ""))-2], ","+entry("X:x")+"]}"...))
	book := rules.Book()
	for b.Loop() {
		if found := rules.Compare(book, before, after); len(found) == 0 {
			b.Fatal("nothing found")
		}
	}
}
