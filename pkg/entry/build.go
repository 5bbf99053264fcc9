package entry

// Build is the run of a pipeline that published an entry: its publisher's word, and
// no proof. It is not compared when a publication is checked for changes.
type Build struct {
	System string `json:"system,omitempty"` // github-actions, gitlab-ci, jenkins, tekton, ci, or another
	URL    string `json:"url,omitempty"`    // of the run: http or https, without a user
	Commit string `json:"commit,omitempty"` // what was built: lower-case hexadecimal
	Ref    string `json:"ref,omitempty"`    // its branch or tag, as the system writes it
}
