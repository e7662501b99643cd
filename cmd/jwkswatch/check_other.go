//go:build !unix

package main

import "os"

// faulted knows no signals here.
func faulted(*os.ProcessState) bool { return false }
