package page

// Problem is a page that says why there is no other one.
type Problem struct {
	Frame
	Heading  string
	Sentence string
}

// Problem writes it.
func (p *Pages) Problem(problem *Problem) ([]byte, error) {
	return p.write("problem", &problemView{problem})
}

type problemView struct{ *Problem }

func (v *problemView) Title() string { return v.Heading }
func (v *problemView) Here() string  { return "" }

// SignIn is the page that asks for a token.
type SignIn struct {
	Frame
	Refused bool   // the one that was given is none of the server's
	To      string // the path that was asked for, below the base
}

// SignIn writes it.
func (p *Pages) SignIn(signIn *SignIn) ([]byte, error) {
	return p.write("signin", &signInView{signIn})
}

type signInView struct{ *SignIn }

func (v *signInView) Title() string { return "Sign in" }
func (v *signInView) Here() string  { return "" }
