package registry

import (
	"encoding/json"
	"errors"
	"strings"
)

// errSyntax reports text that is not the JSON object it should be.
var errSyntax = errors.New("it is not a JSON object with an array of manifests")

// indexScanner finds where the values of a JSON text begin and end. It does not
// check what is inside them: whoever decodes them does.
type indexScanner struct {
	text string
	at   int
}

// scanIndex calls each with the text of every element of the array
// "manifests", in order, and returns what comes before the first and after
// the last. Both are empty where there is no such array.
func scanIndex(text string, each func(element string) error) (head, tail string, err error) {
	s := &indexScanner{text: text}
	if !s.take('{') {
		return "", "", errSyntax
	}
	for !s.take('}') {
		key, ok := s.string()
		if !ok || !s.take(':') {
			return "", "", errSyntax
		}
		if key == `"manifests"` && s.take('[') {
			if head != "" {
				return "", "", errSyntax
			}
			head = text[:s.at]
			if err := s.elements(each); err != nil {
				return "", "", err
			}
			tail = text[s.at-1:]
		} else if _, ok := s.value(); !ok {
			return "", "", errSyntax
		}
		if !s.take(',') && !s.next('}') {
			return "", "", errSyntax
		}
	}
	return head, tail, nil
}

// elements calls each with every element of an array, up to its closing
// bracket.
func (s *indexScanner) elements(each func(element string) error) error {
	for !s.take(']') {
		s.space()
		element, ok := s.value()
		if !ok {
			return errSyntax
		}
		if err := each(element); err != nil {
			return err
		}
		if s.take(',') {
			if s.next(']') {
				return errSyntax
			}
		} else if !s.next(']') {
			return errSyntax
		}
	}
	return nil
}

func (s *indexScanner) space() {
	for s.at < len(s.text) && strings.IndexByte(" \t\r\n", s.text[s.at]) >= 0 {
		s.at++
	}
}

// next reports whether the next byte that is not space is the given one.
func (s *indexScanner) next(b byte) bool {
	s.space()
	return s.at < len(s.text) && s.text[s.at] == b
}

// take skips the given byte and the space before it, if it is next.
func (s *indexScanner) take(b byte) bool {
	if !s.next(b) {
		return false
	}
	s.at++
	return true
}

// string returns the next string, with its quotes.
func (s *indexScanner) string() (string, bool) {
	if !s.next('"') {
		return "", false
	}
	start := s.at
	s.at++
	for {
		rest := s.text[s.at:]
		end := strings.IndexByte(rest, '"')
		if end < 0 {
			return "", false
		}
		escape := strings.IndexByte(rest[:end], '\\')
		if escape < 0 {
			s.at += end + 1
			return s.text[start:s.at], true
		}
		if s.at += escape + 2; s.at > len(s.text) { // a backslash, and what it escapes
			return "", false
		}
	}
}

// value returns the next value.
func (s *indexScanner) value() (string, bool) {
	s.space()
	start, depth := s.at, 0
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case '"':
			if _, ok := s.string(); !ok {
				return "", false
			}
			if depth == 0 {
				return s.text[start:s.at], true
			}
			continue
		case '{', '[':
			depth++
		case '}', ']', ',', ' ', '\t', '\r', '\n':
			if depth == 0 { // the end of a number or a word
				return s.text[start:s.at], s.at > start
			}
			if b := s.text[s.at]; b == '}' || b == ']' {
				depth--
			}
			if depth == 0 {
				s.at++
				return s.text[start:s.at], true
			}
		}
		s.at++
	}
	return "", false
}

// within returns the part of text that equals s, so that s need not be kept
// beside it; or s, if it is there in another spelling.
func within(text, s string) string {
	if at := strings.Index(text, s); at >= 0 {
		return text[at : at+len(s)]
	}
	return s
}

// decode decodes an element.
func decode(element string, into any) error { return json.Unmarshal([]byte(element), into) }
