// Package kinded has what every typed error is beside its data: a message, and what it
// wraps.
package kinded

import "fmt"

// Message is the message of an error, and what errors.Is and errors.As find in
// it: its kind of package entry, or an error of that kind. A typed error embeds one.
type Message struct {
	text  string
	cause error
}

// New returns a message in the words of a format.
func New(cause error, format string, args ...any) Message {
	return Message{fmt.Sprintf(format, args...), cause}
}

// Error is the message.
func (m Message) Error() string { return m.text }

// Unwrap returns what the error wraps.
func (m Message) Unwrap() error { return m.cause }
