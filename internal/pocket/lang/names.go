package lang

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// The names that worlds choose from. No word belongs to two kinds of name.
var (
	first = strings.Fields(`Ada Alma Anton Arno Bela Berta Boris Carl Clara Dora Edgar Elsa Emil Erna Esther Fanny
		Felix Frida Georg Greta Gustav Hanna Hugo Ida Igor Irma Ivan Jana Jonas Julia Karin Klaus Lena Leon Lydia
		Magda Marco Marta Milan Mira Nadia Nora Olga Oscar Paula Petra Rosa Rudolf Sonja Viktor`)
	last = strings.Fields(`Abel Acker Adler Albers Amsel Arendt Bach Bauer Becker Berger Bloch Brandt Busch Conrad
		Dahl Decker Dietz Ebert Eckert Engel Faber Falk Fink Frank Fuchs Geller Graf Gross Haas Hahn Hansen Hecht
		Heller Herzog Hofer Holm Jahn Kaiser Keller Kern Klein Koch Kraus Kremer Lange Lorenz Ludwig Marx Moser
		Nagel Neumann Otto Peters Pohl Reuter Richter Sander Seidel Vogt Winter`)
	firm = strings.Fields(`Amber Anchor Apex Arrow Atlas Aurora Beacon Birch Bridge Cedar Cobalt Comet Copper Coral
		Crown Delta Ember Falcon Fern Garnet Granite Harp Hazel Heron Indigo Ivory Juniper Kestrel Lantern Laurel
		Lotus Maple Meteor Nova Onyx Orchid Quartz Raven Saffron Willow`)
	firmKind = strings.Fields(`Works Press Group House Labs`)
	city     = strings.Fields(`Almstad Arnfeld Belmora Brenholt Calvera Corvan Dalmere Dornach Elmsund Esterby Falmark
		Fenmoor Galdor Garmouth Halvik Hartsee Ilmendal Iserlo Jasmund Kelheim Korsund Lambach Lindeby Lorvik Marwick
		Melbeck Mirandel Narvo Nordhelm Oldesund Ostravik Parnow Pelmar Quellen Ravensund Rosvik Salzach Selmark Solvik
		Tarnholm Tolmund Ulfborg Umbrun Valdis Velmora Wernau Westerlo Yarmond Zellin Zorndal`)
	adjective = strings.Fields(`Bitter Broken Burning Crimson Distant Empty Frozen Gentle Golden Hidden Hollow Lonely
		Quiet Restless Silver Velvet`)
	object = strings.Fields(`Autumn Candle Compass Desert Evening Feather Forest Garden Harbor Island Letter Mirror
		Mountain Shadow Thunder Voyage`)
	country = strings.Fields(`Ardonia Belvaria Cordovia Drunmark Estovia Florinia Gallovia Istravia Luthenia Morvania
		Sylvania Taronia`)
	river = strings.Fields(`Alwe Bodra Dunaa Eidra Fulm Gerra Havra Ilse Jagra Kolde Lahra Mulva Nabe Okra Penne Regna
		Salva Tavra Unstra Wesra`)
)

// firstYear and years bound the years of the language.
const firstYear, years = 1900, 80

// Names of a type, all that any world can hold, in a fixed order.
func Names(t Type) []string {
	switch t {
	case Person:
		return pairs(first, last)
	case Company:
		return pairs(firm, firmKind)
	case Work:
		return pairs(adjective, object)
	case City:
		return city
	case Country:
		return country
	case River:
		return river
	default:
		out := make([]string, years)
		for i := range out {
			out[i] = strconv.Itoa(firstYear + i)
		}
		return out
	}
}

func pairs(a, b []string) []string {
	out := make([]string, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			out = append(out, x+" "+y)
		}
	}
	return out
}

// Words of the language, each once, in a fixed order: those of names first, then those of the patterns.
func Words() []string {
	var out []string
	seen := map[string]bool{}
	add := func(words []string) {
		for _, w := range words {
			if !seen[w] {
				seen[w] = true
				out = append(out, w)
			}
		}
	}
	for _, group := range [][]string{first, last, firm, firmKind, city, adjective, object, country, river, Names(Year)} {
		add(group)
	}
	for _, r := range Relations {
		add([]string{r.Noun, r.Cue})
		for _, patterns := range [][]string{r.Wordings, r.Phrases, r.Questions} {
			for _, p := range patterns {
				p = strings.NewReplacer("{E}", "", "{V}", "", ".", "", "?", "").Replace(p)
				add(strings.Fields(p))
			}
		}
	}
	return out
}

// NewPeople chooses n people with different last names, as long as there are as many.
func NewPeople(r *rand.Rand, n int) []string {
	return combine(r, last, first, n, func(l, f string) string { return f + " " + l })
}

// NewCompanies chooses n companies whose first words differ.
func NewCompanies(r *rand.Rand, n int) []string {
	return combine(r, firm, firmKind, n, func(f, kind string) string { return f + " " + kind })
}

// combine joins n different words of one list with any words of the other.
func combine(r *rand.Rand, distinct, any []string, n int, join func(a, b string) string) []string {
	out := make([]string, 0, n)
	for _, i := range r.Perm(len(distinct))[:n] {
		out = append(out, join(distinct[i], any[r.IntN(len(any))]))
	}
	return out
}
