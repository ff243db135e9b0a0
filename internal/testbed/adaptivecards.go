package testbed

// AdaptiveCards is Microsoft's library that reads and shows adaptive cards, as one file of JavaScript for node.
var AdaptiveCards = Spec{
	Name: "adaptivecards",
	NPM: &NPM{
		Package: "adaptivecards", Version: "3.0.6", Program: "dist/adaptivecards.js",
		SHA512: "WDCIb2WXZ7cOHJ9HIHRNdhSt861HySVOdN2xPk2aKHAF3JvD8QGQ8/XcNFrDJxCteOog8MM7EBlXfSAR8JXKAg==",
	},
}
