-- A formula is written in Hill order: carbon, hydrogen, then the alphabet; without carbon the alphabet.
set search_path to labos, pg_catalog;
select t as written, t::formula as hill
from unnest(array['MoS2', 'Ca3(PO4)2', 'CuSO4·5H2O', 'CuSO4*5H2O', 'CuSO4.5H2O', 'Na2CO3.10H2O', 'CaSO4·1/2H2O', 'CaSO4.0.5H2O',
                  'Li0.95CoO2', 'Al0.3Ga0.7As', 'CH3CH2OH', 'HCN', 'CBr4', 'BrH', 'K4[Fe(CN)6]·3H2O', 'SO4^2-', 'Fe3+', 'NH4+', 'Cl-',
                  'Ag0.5Ge1Pb1.75S4', 'Ag(W3Br7)2', '2H2O', 'D2O', 'Mg(Al(SiO3)2)2', '  MoS2  ', 'CuSO4 · 5 H2O',
                  'H₂SO₄', 'SO₄²⁻', 'Fe³⁺', '[Fe(CN)6]3-', 'Fe(CN)6(3-)', 'SO4 2-', 'Ca++', 'Al^+3', 'NaN', 'U0.000000001O2',
                  '{Ga,N}', '{"Ga", "N"}']) t;

-- Equality and hash are by composition and charge, not by how it is written.
select 'Ca3(PO4)2'::formula = 'Ca3P2O8' as same, 'CuSO4·5H2O'::formula = 'CuSO9H10' as same_hydrate,
       'C2H4'::formula = 'CH2' as proportional_differs, 'Fe2+'::formula = 'Fe' as ion_differs,
       formula_hash('Ca3(PO4)2') = formula_hash('Ca3P2O8') as hash, '(Li0.1)3'::formula = 'Li0.3' as exact;

-- Molar masses in g/mol from the abridged weights of 2021.
select t as formula, round(molar_mass(t::formula)::numeric, 4) as g_per_mol
from unnest(array['H2O', 'MoS2', 'Ca3(PO4)2', 'CuSO4·5H2O', 'C8H10N4O2', 'Li0.95CoO2', 'D2O', 'SO4^2-', 'H+', 'TcO2', 'OgTs2']) t;

-- Elements and shares.
select elements('Ca3(PO4)2'), n_elements('Ca3(PO4)2'), n_atoms('Ca3(PO4)2'), charge('SO4^2-'),
       amount('Al0.3Ga0.7As', 'Ga'), amount('MoS2', 'Fe') as absent, fraction('Al0.3Ga0.7As', 'Ga'),
       round(mass_fraction('H2O', 'H')::numeric, 6) as hydrogen_in_water;
