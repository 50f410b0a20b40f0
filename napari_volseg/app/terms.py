"""Standard names of what is segmented, with their SNOMED CT codes and the labels of TotalSegmentator.

Codes are looked up in pydicom's dictionary of the concepts that DICOM uses, by their keyword there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from napari_volseg.core import Code
from napari_volseg.core.segments import ANATOMICAL_STRUCTURE, LESION_CATEGORY

#: Structures of which there is one, by their keyword.
_SINGLE = """
Liver Spleen Pancreas Gallbladder Stomach Duodenum SmallIntestine Jejunum Ileum Cecum Appendix Colon AscendingColon
TransverseColon DescendingColon SigmoidColon Rectum Esophagus Trachea Carina Bladder Prostate Uterus Cervix Vagina
Heart LeftVentricle RightVentricle LeftAtrium RightAtrium Pericardium Aorta AorticArch AscendingAorta DescendingAorta
AbdominalAorta ThoracicAorta PulmonaryArtery PulmonaryVein SuperiorVenaCava InferiorVenaCava PortalVein SplenicVein
SplenicArtery BrachiocephalicTrunk SuperiorMesentericArtery HepaticArtery HepaticVein CoronaryArtery Mediastinum
Thymus Thyroid Larynx Pharynx Nasopharynx Oropharynx Hypopharynx Tongue SoftPalate HyoidBone Brain Cerebellum
BrainStem Midbrain SpinalCord Pituitary OpticChiasm ThirdVentricle FourthVentricle CorpusCallosum WhiteMatter
GrayMatter CerebrospinalFluid Sternum Sacrum Coccyx Skull Mandible Maxilla Spine CervicalSpine ThoracicSpine
LumbarSpine CostalCartilage Bone SkeletalMuscle AdiposeTissue Skin Diaphragm Abdomen Thorax Head Neck Pelvis
"""
#: Structures of which there is one on each side.
_SIDED = """
Kidney AdrenalGland Lung UpperLobeOfLung LowerLobeOfLung Ureter Ovary Testis SeminalVesicle Breast Eye Lens
OpticNerve ParotidGland SubmandibularGland LacrimalGland MaxillarySinus FrontalSinus Thalamus Hippocampus Amygdala
CaudateNucleus Putamen GlobusPallidus LateralVentricle FrontalLobe ParietalLobe TemporalLobe OccipitalLobe Femur
Hip Humerus Scapula Clavicle Radius Ulna Tibia Fibula Patella Rib CommonCarotidArtery InternalCarotidArtery
SubclavianArtery BrachiocephalicVein InternalJugularVein CommonIliacArtery CommonIliacVein RenalArtery RenalVein
FemoralArtery VertebralArtery Bronchus Pleura
"""
#: Findings.
_LESIONS = """
Neoplasm Lesion Nodule Cyst Metastasis Hematoma Hemorrhage Edema Necrosis PleuralEffusion PericardialEffusion
LymphNode Thrombus Aneurysm Abscess GrossTumorVolume
"""
#: Words of our own, and what TotalSegmentator calls it, where keywords lead to others.
_NAMES = {
    "Bladder": "Urinary bladder",
    "SmallIntestine": "Small bowel",
    "Thyroid": "Thyroid gland",
    "UpperLobeOfLung": "upper lobe of lung",
    "LowerLobeOfLung": "lower lobe of lung",
    "AdiposeTissue": "Fat",
    "SkeletalMuscle": "Muscle",
    "Neoplasm": "Tumor",
}
_LABELS = {
    "UpperLobeOfLung": "lung_upper_lobe",
    "LowerLobeOfLung": "lung_lower_lobe",
    "Clavicle": "clavicula",
    "CommonIliacArtery": "iliac_artery",
    "CommonIliacVein": "iliac_vena",
    "SmallIntestine": "small_bowel",
    "Bladder": "urinary_bladder",
    "Thyroid": "thyroid_gland",
    "HyoidBone": "hyoid",
}


@dataclass(frozen=True, slots=True)
class Term:
    """A standard name.

    Parameters
    ----------
    name
        For people, such as ``"Left kidney"``.
    label
        As TotalSegmentator would call it, such as ``"kidney_left"``.
    category, type
        Segmented Property Category and Type; the side is told by the name alone.
    """

    name: str
    label: str
    category: Code
    type: Code

    def fits(self, words: Iterable[str]) -> bool:
        """Whether name, label or code begin a word with each of some words in small letters."""
        own = f" {self.name} {self.label} {self.label.replace('_', ' ')} {self.type.value}".lower()
        return all(f" {word}" in own for word in words)


@cache
def terms() -> tuple[Term, ...]:
    """Return all standard names, ordered by name."""
    found = [_term(keyword) for keyword in _SINGLE.split()]
    found += [_term(keyword, side) for keyword in _SIDED.split() for side in ("left", "right")]
    found += [_term(keyword, category=LESION_CATEGORY) for keyword in _LESIONS.split()]
    found.append(_named("Middle lobe of right lung", "lung_middle_lobe_right", "MiddleLobeOfRightLung"))
    for letter, count in (("C", 7), ("T", 12), ("L", 5)):
        for number in range(1, count + 1):
            vertebra = f"{letter}{number}"
            found.append(_named(f"Vertebra {vertebra}", f"vertebrae_{vertebra}", f"{vertebra}Vertebra"))
    return tuple(sorted(found, key=lambda term: term.name.lower()))


def search_terms(text: str, most: int = 50) -> tuple[Term, ...]:
    """Return the standard names that fit some words; those that begin with them come first."""
    words = text.lower().replace("_", " ").split()
    fitting = [term for term in terms() if term.fits(words)]
    beginning = text.lower().strip()
    return tuple(sorted(fitting, key=lambda term: not term.name.lower().startswith(beginning))[:most])


def term_of(name: str) -> Term | None:
    """Return the standard name that somebody typed in any case, or as TotalSegmentator's label; None for others."""
    wanted = name.strip().lower()
    return next((term for term in terms() if wanted in (term.name.lower(), term.label.lower())), None)


def _term(keyword: str, side: str = "", category: Code = ANATOMICAL_STRUCTURE) -> Term:
    plain = _NAMES.get(keyword, _spaced(keyword))
    label = _LABELS.get(keyword, _spaced(keyword).lower().replace(" ", "_"))
    if side:
        return _named(f"{side.capitalize()} {plain.lower()}", f"{label}_{side}", keyword, category)
    return _named(plain, label, keyword, category)


def _named(name: str, label: str, keyword: str, category: Code = ANATOMICAL_STRUCTURE) -> Term:
    from pydicom.sr.codedict import codes  # a large dictionary, and few sessions name anything

    concept = getattr(codes.SCT, keyword)
    return Term(name, label, category, Code(concept.value, concept.scheme_designator, concept.meaning))


def _spaced(keyword: str) -> str:
    """Return a keyword as words: ``"AdrenalGland"`` as ``"Adrenal gland"``."""
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in keyword)
    return words.strip().capitalize()
