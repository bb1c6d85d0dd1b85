"""Unit atoms and prefixes of UCUM: https://ucum.org/ucum.

``UNITS`` gives each atom as ``(factor, expression)`` in terms of other atoms; base units have an empty
expression.
Only case-sensitive codes. ``METRIC`` atoms take prefixes. ``ARBITRARY`` atoms can't be converted to any
other unit.
``AFFINE`` atoms are temperatures with their own zero: kelvin = (value + shift) * factor.
"""

from __future__ import annotations

PREFIXES = {
    "Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1,
    "d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21, "y": -24,
}  # fmt: skip
BINARY_PREFIXES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}

BASE = ("m", "s", "g", "rad", "K", "C", "cd")

AFFINE = {
    "Cel": ("273.15", "1"),
    "[degF]": ("459.67", "5/9"),
    "[degRe]": ("218.52", "5/4"),
}

UNITS: dict[str, tuple[str, str]] = {
    "10*": ("10", "1"), "10^": ("10", "1"),
    "%": ("1/100", "1"), "[ppth]": ("1/1000", "1"), "[ppm]": ("1/1000000", "1"), "[ppb]": ("1e-9", "1"),
    "[pptr]": ("1e-12", "1"),
    "[pi]": ("3.1415926535897932384626433832795028841971693993751058209749445923", "1"),
    "mol": ("6.0221367e23", "1"), "eq": ("1", "mol"), "osm": ("1", "mol"), "kat": ("1", "mol/s"),
    "U": ("1", "umol/min"), "sr": ("1", "rad2"), "Hz": ("1", "s-1"), "N": ("1", "kg.m/s2"),
    "Pa": ("1", "N/m2"),
    "J": ("1", "N.m"), "W": ("1", "J/s"), "A": ("1", "C/s"), "V": ("1", "J/C"), "F": ("1", "C/V"),
    "Ohm": ("1", "V/A"),
    "S": ("1", "Ohm-1"), "Wb": ("1", "V.s"), "T": ("1", "Wb/m2"), "H": ("1", "Wb/A"), "lm": ("1", "cd.sr"),
    "lx": ("1", "lm/m2"), "Bq": ("1", "s-1"), "Gy": ("1", "J/kg"), "Sv": ("1", "J/kg"),
    "gon": ("9/10", "deg"), "deg": ("2", "[pi].rad/360"), "'": ("1/60", "deg"), "''": ("1/60", "'"),
    "l": ("1", "dm3"), "L": ("1", "dm3"), "ar": ("100", "m2"), "t": ("1000", "kg"), "bar": ("100000", "Pa"),
    "u": ("1.6605402e-24", "g"), "eV": ("1.60217733e-19", "J"), "AU": ("149597.870691", "Mm"),
    "pc": ("3.085678e16", "m"),
    "min": ("60", "s"), "h": ("60", "min"), "d": ("24", "h"), "wk": ("7", "d"), "a_t": ("365.24219", "d"),
    "a_j": ("365.25", "d"), "a_g": ("365.2425", "d"), "a": ("1", "a_j"), "mo_s": ("29.53059", "d"),
    "mo_j": ("1/12", "a_j"), "mo_g": ("1/12", "a_g"), "mo": ("1", "mo_j"),
    "Gal": ("1", "cm/s2"), "dyn": ("1", "g.cm/s2"), "erg": ("1", "dyn.cm"), "P": ("1", "dyn.s/cm2"),
    "Bi": ("10", "A"),
    "St": ("1", "cm2/s"), "Mx": ("1e-8", "Wb"), "G": ("1e-4", "T"), "Oe": ("250", "A/([pi].m)"),
    "sb": ("1", "cd/cm2"),
    "Lmb": ("1", "cd/([pi].cm2)"), "ph": ("1e4", "lx"), "Ci": ("3.7e10", "Bq"), "R": ("2.58e-4", "C/kg"),
    "RAD": ("100", "erg/g"), "REM": ("1", "RAD"), "cal": ("4.184", "J"), "cal_th": ("4.184", "J"),
    "cal_IT": ("4.1868", "J"), "[Cal]": ("1", "kcal_th"), "atm": ("101325", "Pa"), "[g]": ("9.80665", "m/s2"),
    "[c]": ("299792458", "m/s"), "[G]": ("6.67259e-11", "m3.kg-1.s-2"), "[h]": ("6.6260755e-34", "J.s"),
    "[k]": ("1.380658e-23", "J/K"), "[e]": ("1.60217733e-19", "C"), "gf": ("1", "g.[g]"),
    "[ly]": ("1", "[c].a_j"),
    "m[H2O]": ("9.80665", "kPa"), "m[Hg]": ("133.3220", "kPa"), "[in_i'H2O]": ("1", "m[H2O].[in_i]/m"),
    "[in_i'Hg]": ("1", "m[Hg].[in_i]/m"),
    "[in_i]": ("2.54", "cm"), "[ft_i]": ("12", "[in_i]"), "[yd_i]": ("3", "[ft_i]"),
    "[mi_i]": ("5280", "[ft_i]"),
    "[fth_i]": ("6", "[ft_i]"), "[nmi_i]": ("1852", "m"), "[kn_i]": ("1", "[nmi_i]/h"),
    "[mil_i]": ("1/1000", "[in_i]"),
    "[hd_i]": ("4", "[in_i]"), "[sin_i]": ("1", "[in_i]2"), "[sft_i]": ("1", "[ft_i]2"),
    "[syd_i]": ("1", "[yd_i]2"),
    "[cin_i]": ("1", "[in_i]3"), "[cft_i]": ("1", "[ft_i]3"), "[cyd_i]": ("1", "[yd_i]3"),
    "[ft_us]": ("1200/3937", "m"), "[yd_us]": ("3", "[ft_us]"), "[in_us]": ("1/12", "[ft_us]"),
    "[mi_us]": ("5280", "[ft_us]"), "[acr_us]": ("43560", "[ft_us]2"), "[smi_us]": ("1", "[mi_us]2"),
    "[gal_us]": ("231", "[in_i]3"), "[qt_us]": ("1/4", "[gal_us]"), "[pt_us]": ("1/2", "[qt_us]"),
    "[gil_us]": ("1/4", "[pt_us]"), "[foz_us]": ("1/4", "[gil_us]"), "[fdr_us]": ("1/8", "[foz_us]"),
    "[min_us]": ("1/60", "[fdr_us]"), "[tbs_us]": ("1/2", "[foz_us]"), "[tsp_us]": ("1/3", "[tbs_us]"),
    "[cup_us]": ("16", "[tbs_us]"), "[foz_m]": ("30", "mL"), "[cup_m]": ("240", "mL"), "[tsp_m]": ("5", "mL"),
    "[tbs_m]": ("15", "mL"), "[bu_us]": ("2150.42", "[in_i]3"),
    "[gal_br]": ("4.54609", "l"), "[pt_br]": ("1/8", "[gal_br]"), "[foz_br]": ("1/20", "[pt_br]"),
    "[gr]": ("64.79891", "mg"), "[lb_av]": ("7000", "[gr]"), "[oz_av]": ("1/16", "[lb_av]"),
    "[dr_av]": ("1/16", "[oz_av]"),
    "[scwt_av]": ("100", "[lb_av]"), "[lcwt_av]": ("112", "[lb_av]"), "[ston_av]": ("20", "[scwt_av]"),
    "[lton_av]": ("20", "[lcwt_av]"), "[stone_av]": ("14", "[lb_av]"), "[pwt_tr]": ("24", "[gr]"),
    "[oz_tr]": ("20", "[pwt_tr]"), "[lb_tr]": ("12", "[oz_tr]"), "[sc_ap]": ("20", "[gr]"),
    "[dr_ap]": ("3", "[sc_ap]"),
    "[oz_ap]": ("8", "[dr_ap]"), "[lb_ap]": ("12", "[oz_ap]"), "[lbf_av]": ("1", "[lb_av].[g]"),
    "[psi]": ("1", "[lbf_av]/[in_i]2"), "[Btu_th]": ("1.054350", "kJ"), "[Btu]": ("1.05505585262", "kJ"),
    "[HP]": ("550", "[ft_i].[lbf_av]/s"), "[degR]": ("5/9", "K"), "tex": ("1", "g/km"),
    "[den]": ("1/9", "g/km"),
    "[lne]": ("1/12", "[in_i]"), "[pnt]": ("1/72", "[in_i]"), "[pca]": ("12", "[pnt]"),
    "[diop]": ("1", "m-1"),
    "[p'diop]": ("1/100", "1"), "[mesh_i]": ("1", "[in_i]-1"), "[Ch]": ("1/3", "mm"), "[drp]": ("1/20", "ml"),
    "[HPF]": ("1", "1"), "[LPF]": ("100", "1"), "[car_m]": ("1/5", "g"), "[car_Au]": ("1/24", "1"),
    "[smoot]": ("67", "[in_i]"), "[MET]": ("3.5", "mL/min/kg"), "bit": ("1", "1"), "By": ("8", "bit"),
    "Bd": ("1", "s-1"),
    "Ao": ("0.1", "nm"), "b": ("100", "fm2"), "att": ("1", "kgf/cm2"), "mho": ("1", "S"), "st": ("1", "m3"),
    "circ": ("2", "[pi].rad"), "sph": ("4", "[pi].sr"), "[PRU]": ("1", "mm[Hg].s/ml"), "g%": ("1", "g/dl"),
    "[S]": ("1e-13", "s"), "[wood'U]": ("1", "mm[Hg].min/L"), "dyne": ("1", "g.cm/s2"),
}  # fmt: skip

METRIC = {
    "m", "s", "g", "rad", "K", "C", "cd", "mol", "eq", "osm", "kat", "U", "sr", "Hz", "N", "Pa", "J", "W",
    "A", "V", "F",
    "Ohm", "S", "Wb", "T", "H", "lm", "lx", "Bq", "Gy", "Sv", "l", "L", "ar", "t", "bar", "u", "eV", "pc",
    "Cel",
    "Gal", "dyn", "erg", "P", "Bi", "St", "Mx", "G", "Oe", "sb", "Lmb", "ph", "Ci", "R", "RAD", "REM",
    "cal", "cal_th",
    "cal_IT", "gf", "[c]", "[h]", "[k]", "[e]", "[G]", "[ly]", "m[H2O]", "m[Hg]", "tex", "bit", "By", "Bd",
    "mho", "st", "b",
    "[iU]", "[IU]", "g%", "a_j",
}  # fmt: skip

ARBITRARY = {
    "[iU]", "[IU]", "[arb'U]", "[USP'U]", "[GPL'U]", "[MPL'U]", "[APL'U]", "[beth'U]", "[anti'Xa'U]",
    "[todd'U]", "[dye'U]",
    "[smgy'U]", "[bdsk'U]", "[ka'U]", "[knk'U]", "[mclg'U]", "[tb'U]", "[CCID_50]", "[TCID_50]",
    "[EID_50]", "[PFU]",
    "[FFU]", "[CFU]", "[IR]", "[BAU]", "[AU]", "[Amb'a'1'U]", "[PNU]", "[Lf]", "[D'ag'U]", "[FEU]",
    "[ELU]", "[EU]",
    "[hp'_X]", "[hp'_C]", "[hp'_M]", "[hp'_Q]", "[kp_X]", "[kp_C]", "[kp_M]", "[kp_Q]", "[hp_X]", "[hp_C]",
    "[hp_M]",
    "[hp_Q]", "[pH]", "B", "Np", "B[SPL]", "B[V]", "B[mV]", "B[uV]", "B[10.nV]", "B[W]", "B[kW]", "bit_s",
    "[m/s2/Hz^0.5]",
}  # fmt: skip
