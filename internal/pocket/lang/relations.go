package lang

// Type of an entity or a value.
type Type int

// The types.
const (
	Person Type = iota
	Company
	City
	Work
	Country
	River
	Year
)

// Relation leads from an entity to one value.
type Relation struct {
	// Noun names it in thoughts and summaries; Cue is the word that its passages are found by.
	Noun, Cue string
	From, To  Type
	// Sibling is another relation from the same type, the one that a sloppy reader confuses it with.
	Sibling string
	// Wordings tell a fact, with {E} and {V}.
	Wordings []string
	// Phrases name the value by the entity {E}, for the inner hop of a question.
	Phrases []string
	// Questions ask for the value of {E}, for the outer hop.
	Questions []string
}

// Relations of the language, in a fixed order.
var Relations = []Relation{
	{
		Noun: "author", Cue: "novel", From: Work, To: Person, Sibling: "publisher",
		Wordings: []string{"{E} is a novel by {V}.", "{V} is the writer of the novel {E}."},
		Phrases:  []string{"the author of {E}", "the writer of {E}", "the person who wrote {E}"},
	},
	{
		Noun: "publisher", Cue: "published", From: Work, To: Company, Sibling: "author",
		Wordings: []string{"{E} was published by {V}.", "{V} has published {E}.", "The company that published {E} is {V}."},
		Phrases:  []string{"the publisher of {E}", "the company behind {E}"},
	},
	{
		Noun: "founder", Cue: "founded", From: Company, To: Person, Sibling: "seat",
		Wordings:  []string{"{E} was founded by {V}.", "{V} founded {E}."},
		Phrases:   []string{"the founder of {E}", "the person who started {E}"},
		Questions: []string{"Who founded {E}?", "Who started {E}?"},
	},
	{
		Noun: "seat", Cue: "based", From: Company, To: City, Sibling: "opening",
		Wordings:  []string{"{E} is based in {V}.", "The city where {E} is based is {V}."},
		Phrases:   []string{"the seat of {E}", "the home city of {E}"},
		Questions: []string{"Where is {E} based?", "In which city is {E}?"},
	},
	{
		Noun: "opening", Cue: "opened", From: Company, To: Year, Sibling: "founder",
		Wordings:  []string{"{E} opened in {V}.", "In {V} the company {E} opened."},
		Questions: []string{"When did {E} open?", "In which year did {E} open?"},
	},
	{
		Noun: "mayor", Cue: "mayor", From: City, To: Person, Sibling: "country",
		Wordings:  []string{"The mayor of {E} is {V}.", "{V} is the mayor of {E}."},
		Phrases:   []string{"the mayor of {E}", "the person who leads {E}"},
		Questions: []string{"Who is the mayor of {E}?", "Who leads {E}?"},
	},
	{
		Noun: "country", Cue: "country", From: City, To: Country, Sibling: "river",
		Wordings:  []string{"{E} is in the country {V}.", "The country of {E} is {V}."},
		Questions: []string{"In which country is {E}?", "Which country is home to {E}?"},
	},
	{
		Noun: "river", Cue: "river", From: City, To: River, Sibling: "mayor",
		Wordings:  []string{"{E} lies on the river {V}.", "The river {V} runs through {E}."},
		Questions: []string{"On which river is {E}?", "Which river runs through {E}?"},
	},
	{
		Noun: "birthplace", Cue: "birthplace", From: Person, To: City, Sibling: "birthyear",
		Wordings:  []string{"The birthplace of {E} is {V}.", "{V} is the birthplace of {E}."},
		Phrases:   []string{"the birthplace of {E}", "the home of {E}"},
		Questions: []string{"Where was {E} born?", "What is the birthplace of {E}?"},
	},
	{
		Noun: "birthyear", Cue: "born", From: Person, To: Year, Sibling: "employer",
		Wordings:  []string{"{E} was born in {V}.", "In {V} {E} was born."},
		Questions: []string{"When was {E} born?", "In which year was {E} born?"},
	},
	{
		Noun: "employer", Cue: "employed", From: Person, To: Company, Sibling: "birthplace",
		Wordings:  []string{"{E} is employed by {V}.", "{V} has employed {E}."},
		Phrases:   []string{"the employer of {E}", "the company that employs {E}"},
		Questions: []string{"Who employs {E}?", "Where does {E} work?"},
	},
}

// Named finds a relation by its noun.
func Named(noun string) (*Relation, bool) {
	for i := range Relations {
		if Relations[i].Noun == noun {
			return &Relations[i], true
		}
	}
	return nil, false
}
