// Package entry is the domain of a caib catalog as those see it who use one: what
// an entry is, which entries match a query, what may be said of one, and the error
// kinds of the whole project. It is pure: it opens no network connection, no file
// and no clock.
//
// An [Item] is how an entry is shown; an [Event] is one line of its history. A
// [Query] selects items:
//
//	page := entry.Query{Distro: "autosd", Architecture: "arm64", Latest: true}.Select(items)
//	for _, item := range page.Items {
//		fmt.Println(item.Name, item.Phase, item.Verdict)
//	}
//
// Errors are matched with errors.Is against the kinds declared here. The sections
// named in comments are those of schema/SPEC.md.
package entry
