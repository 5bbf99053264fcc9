// Package browser holds the tests of the server's page in a real browser: Debian's
// Chromium, without a window. All of them are of one demo, as `make demo SERVE=1` starts
// it. To write the screenshots that README shows:
//
//	go test -run '^TestPage$/screenshots' ./browser -screenshots ../../docs
package browser
