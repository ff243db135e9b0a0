import unittest

from labels import label


class LabelTest(unittest.TestCase):
    def test_label(self):
        self.assertEqual(label("p000001"), "*P000001*")
