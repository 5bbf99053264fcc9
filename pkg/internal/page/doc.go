// Package page writes the web pages of an index server: the list of entries with its
// filters, one entry, what happened, and the description of the API. It decides
// nothing about entries and asks nobody: whoever serves a page has read what is on it.
//
//	pages, err := page.New("/catalog") // the path that browsers know the server below
//	html, err := pages.List(&page.List{Items: items, Total: len(items)})
//
// A page is the same bytes for the same data. It needs no script to be read: links and
// forms lead everywhere. The script replaces what links and forms would load anew,
// copies lines, and follows events. Nothing on a page comes from elsewhere, and no
// style or script stands in it, so that Headers can forbid both.
//
// Everything that entries say is a stranger's word. It goes through html/template as
// text, is cut where it is long, and is isolated from the direction of the text around
// it.
//
// # Glossary
//
// A frame is what all pages have around their own part. A filter is one condition of a
// list's query, and a choice is one value that a filter can have, with the number of
// entries that have it. A line is a command to copy.
package page
