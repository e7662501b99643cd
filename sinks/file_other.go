//go:build !unix

package sinks

// dontFollow has no meaning here.
const dontFollow = 0
