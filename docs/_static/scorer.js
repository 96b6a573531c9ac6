// How Sphinx's search ranks what it finds: a page that says how something is done comes before references and chapters.
var Scorer = {
  score: ([docname, , , , score]) => score + (/^(howto|start)\//.test(docname) ? 40 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
